//! What a pickle's calls would have made.

use super::machine::{Machine, malformed};
use super::{Callable, Global, Object, ObjectId, Storage, Value};
use crate::model::state_dict::fault::{Fault, Result};

/// A storage's key is a number in decimal.
const MAX_KEY_BYTES: usize = 64;

impl<'a> Machine<'a> {
    /// `function, arguments` becomes what the function would have returned.
    pub(super) fn call(&mut self) -> Result<()> {
        let (Value::Object(id), function) = (self.pop()?, self.pop()?) else {
            return Err(malformed("a call without arguments"));
        };
        let Object::Tuple(arguments) = self.heap.get(id) else {
            return Err(malformed("a call without arguments"));
        };
        let Value::Global(Global::Callable(callable)) = function else {
            return Err(malformed("a call of what is no function"));
        };
        match (callable, arguments.as_slice()) {
            (Callable::OrderedDict, []) => self.push_object(Object::Dict(Vec::new())),
            (Callable::OrderedDict, &[pairs]) => self.ordered_dict(pairs),
            (Callable::Tensor, [_, _, _, _, ..]) => self.push_object(Object::Tensor(id)),
            (Callable::RebuildParameter, &[tensor, ..]) => {
                self.tensor_id(tensor)?;
                self.stack.push(tensor);
                Ok(())
            }
            (Callable::Parameter, []) => self.push_object(Object::Parameter(None)),
            (Callable::Parameter, &[tensor, ..]) => {
                let tensor = self.tensor_id(tensor)?;
                self.push_object(Object::Parameter(Some(tensor)))
            }
            (Callable::Inert, _) => {
                self.stack.push(Value::Inert);
                Ok(())
            }
            _ => Err(malformed("a call with the wrong arguments")),
        }
    }

    /// `OrderedDict([[key, value], ..])`, as Python 2 wrote it.
    fn ordered_dict(&mut self, pairs: Value<'a>) -> Result<()> {
        let count = self.heap.sequence(pairs).map_or(0, <[_]>::len);
        // The same pairs may be asked for again and again, so copying them counts.
        self.spend(count)?;
        let entries = self.heap.sequence(pairs).and_then(|pairs| {
            let pair = |&pair| match self.heap.sequence(pair) {
                Some(&[key, value]) => Some((key, value)),
                _ => None,
            };
            pairs.iter().map(pair).collect::<Option<Vec<_>>>()
        });
        let entries = entries.ok_or_else(|| malformed("a dict made of what are no pairs"))?;
        self.push_object(Object::Dict(entries))
    }

    fn tensor_id(&self, value: Value<'a>) -> Result<ObjectId> {
        match value {
            Value::Object(id) if matches!(self.heap.get(id), Object::Tensor(_)) => Ok(id),
            _ => Err(malformed("a parameter without a tensor")),
        }
    }

    /// BUILD: gives the object below the top its attributes.
    pub(super) fn set_state(&mut self) -> Result<()> {
        let state = self.pop()?;
        // A parameter of PyTorch 0.1 to 0.3: (data, gradient, hooks, requires_grad, volatile).
        let data = match self.heap.tuple(state) {
            Some(&[data, _, _, _, _]) => self.tensor_id(data).ok(),
            _ => None,
        };
        match (self.top()?, data) {
            (Value::Inert, _) => Ok(()),
            (Value::Object(id), data) => match (self.heap.get_mut(id), data) {
                // Attributes such as `_metadata`, which no tensor depends on.
                (Object::Dict(_), _) => Ok(()),
                (Object::Parameter(tensor), Some(data)) => {
                    *tensor = Some(data);
                    Ok(())
                }
                _ => Err(malformed("attributes for a value that takes none")),
            },
            _ => Err(malformed("attributes for a value that takes none")),
        }
    }

    /// BINPERSID: `("storage", class, key, location, count[, view])`, where the view of older files
    /// is `(its key, first element, count)`.
    pub(super) fn persistent_object(&mut self) -> Result<()> {
        let id = self.pop()?;
        let (class, key, count, view) = match self.heap.tuple(id) {
            Some(&[Value::Str("storage"), class, key, _, count]) => {
                (class, key, count, Value::None)
            }
            Some(&[Value::Str("storage"), class, key, _, count, view]) => (class, key, count, view),
            Some(&[Value::Str("module"), ..]) => {
                return Err(Fault::refused("holds a whole model, code included"));
            }
            _ => return Err(malformed("an unknown kind of stored object")),
        };
        let (Value::Global(Global::Storage(dtype)), Value::Str(key), Some(total)) =
            (class, key, natural(count))
        else {
            return Err(malformed("a storage without type, key or size"));
        };
        if key.len() > MAX_KEY_BYTES {
            return Err(malformed("a storage whose key is too long"));
        }
        let (start, num_elements) = match (view, self.heap.tuple(view)) {
            (Value::None, _) => (0, total),
            (_, Some(&[_, start, count])) => natural(start)
                .zip(natural(count))
                .filter(|(start, count)| start.checked_add(*count).is_some_and(|end| end <= total))
                .ok_or_else(|| malformed("a storage's view lies outside it"))?,
            _ => return Err(malformed("a storage's view is not described")),
        };
        self.push_object(Object::Storage(Storage { key, dtype, start, num_elements }))
    }
}

fn natural(value: Value<'_>) -> Option<u64> {
    match value {
        Value::Int(value) => u64::try_from(value).ok(),
        _ => None,
    }
}
