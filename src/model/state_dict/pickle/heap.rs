//! The objects that a pickle builds.

use super::Global;
use crate::model::state_dict::Dtype;
use crate::model::state_dict::fault::{Fault, Result};

/// A Python value. Objects are named by number, so that cycles cost nothing: nothing here is
/// walked or dropped recursively.
#[derive(Debug, Clone, Copy)]
pub(in crate::model::state_dict) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// Two's complement, little-endian, of more than eight bytes.
    BigInt(&'a [u8]),
    Str(&'a str),
    Global(Global),
    Object(ObjectId),
    /// A value that no tensor depends on, such as a float.
    Inert,
}

/// Number of an object in its heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model::state_dict) struct ObjectId(u32);

/// A Python object that has parts.
#[derive(Debug)]
pub(in crate::model::state_dict) enum Object<'a> {
    /// A list, or a set.
    List(Vec<Value<'a>>),
    Tuple(Vec<Value<'a>>),
    /// Assignments in their order; a key may come twice.
    Dict(Vec<(Value<'a>, Value<'a>)>),
    Storage(Storage<'a>),
    /// The tuple of arguments it was rebuilt from.
    Tensor(ObjectId),
    /// The tensor within, once it is known.
    Parameter(Option<ObjectId>),
}

/// A range of elements in one of the file's blocks of bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::model::state_dict) struct Storage<'a> {
    /// Names the block.
    pub key: &'a str,
    pub dtype: Dtype,
    /// Elements of the block before this range.
    pub start: u64,
    pub num_elements: u64,
}

/// Every object of one pickle.
#[derive(Debug, Default)]
pub(in crate::model::state_dict) struct Heap<'a> {
    objects: Vec<Object<'a>>,
}

impl<'a> Heap<'a> {
    pub(super) fn add(&mut self, object: Object<'a>) -> Result<Value<'a>> {
        let id = u32::try_from(self.objects.len())
            .map_err(|_| Fault::damaged("its pickle is too long"))?;
        self.objects.push(object);
        Ok(Value::Object(ObjectId(id)))
    }

    pub(in crate::model::state_dict) fn get(&self, id: ObjectId) -> &Object<'a> {
        &self.objects[id.0 as usize]
    }

    pub(super) fn get_mut(&mut self, id: ObjectId) -> &mut Object<'a> {
        &mut self.objects[id.0 as usize]
    }

    /// The object behind `value`, if it is one.
    pub(in crate::model::state_dict) fn object(&self, value: Value<'a>) -> Option<&Object<'a>> {
        match value {
            Value::Object(id) => Some(self.get(id)),
            _ => None,
        }
    }

    /// The elements of a tuple.
    pub(in crate::model::state_dict) fn tuple(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match self.object(value) {
            Some(Object::Tuple(values)) => Some(values),
            _ => None,
        }
    }

    /// The elements of a list or a tuple.
    pub(in crate::model::state_dict) fn sequence(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match self.object(value) {
            Some(Object::Tuple(values) | Object::List(values)) => Some(values),
            _ => None,
        }
    }

    /// The entries of a dict.
    pub(in crate::model::state_dict) fn dict(
        &self,
        value: Value<'a>,
    ) -> Option<&[(Value<'a>, Value<'a>)]> {
        match self.object(value) {
            Some(Object::Dict(entries)) => Some(entries),
            _ => None,
        }
    }

    /// The arguments of a tensor, or of the tensor within a parameter.
    pub(in crate::model::state_dict) fn tensor(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        let arguments = match self.object(value)? {
            Object::Tensor(arguments) => *arguments,
            Object::Parameter(Some(tensor)) => match self.get(*tensor) {
                Object::Tensor(arguments) => *arguments,
                _ => return None,
            },
            _ => return None,
        };
        self.tuple(Value::Object(arguments))
    }

    /// Every storage mentioned, once per mention.
    pub(in crate::model::state_dict) fn storages(&self) -> impl Iterator<Item = &Storage<'a>> {
        self.objects.iter().filter_map(|object| match object {
            Object::Storage(storage) => Some(storage),
            _ => None,
        })
    }
}
