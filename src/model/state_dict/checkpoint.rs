//! Finding the tensors in a pickled checkpoint.

use super::Dtype;
use super::fault::{Fault, Result};
use super::pickle::{Heap, Object, Storage, Value};

/// Names under which training scripts put the state dict.
const WRAPPERS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// Above any network's (ResNet152 has 932), far below what would hurt.
const MAX_TENSORS: usize = 1 << 16;

/// Above any tensor's; PyTorch's own operations stop at 64.
const MAX_RANK: usize = 64;

/// Keeps messages readable: every name may come to stand in one.
const MAX_NAME_BYTES: usize = 1024;

/// A tensor as a strided view of a stored block.
#[derive(Debug)]
pub(super) struct View<'a> {
    /// Names the block.
    pub key: &'a str,
    pub dtype: Dtype,
    /// Elements of the block before the first of this tensor.
    pub start: usize,
    pub shape: Vec<usize>,
    /// Elements from one index to the next, per dimension.
    pub strides: Vec<usize>,
    /// Product of the shape.
    pub num_elements: usize,
    /// Elements of the block up to the last of this tensor; 0 where there are none.
    pub end: usize,
}

/// The tensors of the state dict that `root` is or wraps, in order. Other entries are looked past.
pub(super) fn tensors<'a>(heap: &Heap<'a>, root: Value<'a>) -> Result<Vec<(&'a str, View<'a>)>> {
    let entries = state_dict(heap, root)?;
    let mut tensors = Vec::new();
    for &(name, value) in entries {
        let Some(arguments) = heap.tensor(value) else { continue };
        let Value::Str(name) = name else {
            return Err(Fault::refused("holds a tensor whose name is not text"));
        };
        check_name(name)?;
        if tensors.len() == MAX_TENSORS {
            return Err(Fault::refused(format!("holds more than {MAX_TENSORS} tensors")));
        }
        let view = view(heap, arguments).map_err(|fault| match fault {
            Fault::Damaged(reason) => Fault::Damaged(format!("{name:?} {reason}")),
            Fault::Refused(reason) => Fault::Refused(format!("{name:?} {reason}")),
            other => other,
        })?;
        tensors.push((name, view));
    }
    Ok(tensors)
}

/// Refuses a name that no network gives a tensor.
pub(super) fn check_name(name: &str) -> Result<()> {
    if name.len() > MAX_NAME_BYTES {
        let length = name.len();
        return Err(Fault::refused(format!("holds a tensor whose name has {length} bytes")));
    }
    Ok(())
}

type Entries<'h, 'a> = &'h [(Value<'a>, Value<'a>)];

fn state_dict<'h, 'a>(heap: &'h Heap<'a>, root: Value<'a>) -> Result<Entries<'h, 'a>> {
    let root = heap.dict(root).ok_or_else(|| Fault::refused("holds no dict of tensors"))?;
    let mut wrapped: Vec<(&str, Entries)> = Vec::new();
    for &(name, value) in root {
        if let (Value::Str(name), Some(entries)) = (name, heap.dict(value))
            && WRAPPERS.contains(&name)
            && has_tensors(heap, entries)
        {
            // A key assigned twice has its last value.
            wrapped.retain(|(earlier, _)| *earlier != name);
            wrapped.push((name, entries));
        }
    }
    match wrapped.as_slice() {
        // A checkpoint may hold single tensors beside its state dict, as its best accuracy.
        [(_, entries)] => Ok(entries),
        [(first, _), (second, _), ..] => Err(Fault::Refused(format!(
            "holds two state dicts, {first:?} and {second:?}: save the one that is meant"
        ))),
        [] if has_tensors(heap, root) => Ok(root),
        [] => Err(Fault::Refused(format!("holds no tensors; its keys are {}", key_list(root)))),
    }
}

fn has_tensors(heap: &Heap<'_>, entries: Entries<'_, '_>) -> bool {
    entries.iter().any(|&(_, value)| heap.tensor(value).is_some())
}

/// The first few keys, for a message.
fn key_list(entries: Entries<'_, '_>) -> String {
    const MAX_SHOWN: usize = 8;
    const MAX_KEY_CHARS: usize = 60;
    let mut keys: Vec<String> = entries
        .iter()
        .take(MAX_SHOWN)
        .map(|(key, _)| match key {
            Value::Str(key) => format!("{:?}", key.chars().take(MAX_KEY_CHARS).collect::<String>()),
            _ => "not text".to_owned(),
        })
        .collect();
    if entries.len() > MAX_SHOWN {
        keys.push("...".to_owned());
    }
    format!("[{}]", keys.join(", "))
}

/// The view described by `(storage, offset, size, stride[, requires_grad, hooks[, metadata]])`.
fn view<'a>(heap: &Heap<'a>, arguments: &[Value<'a>]) -> Result<View<'a>> {
    let &[storage, offset, size, stride, ref rest @ ..] = arguments else {
        return Err(Fault::damaged("is not described"));
    };
    let Some(&Object::Storage(Storage { key, dtype, start, num_elements: available })) =
        heap.object(storage)
    else {
        return Err(Fault::damaged("has no storage"));
    };
    // Bits that say "conjugate" or "negate": its stored values are not its values.
    if let [_, _, metadata, ..] = rest
        && heap.dict(*metadata).is_some_and(|entries| !entries.is_empty())
    {
        return Err(Fault::refused("is a conjugated or negated view"));
    }
    let (Value::Int(offset), Some(shape), Some(strides)) =
        (offset, naturals(heap, size), naturals(heap, stride))
    else {
        return Err(Fault::damaged("has no valid offset, shape or strides"));
    };
    if shape.len() != strides.len() || shape.len() > MAX_RANK {
        return Err(Fault::Damaged(format!(
            "has {} dimensions and {} strides",
            shape.len(),
            strides.len()
        )));
    }
    let (start, num_elements, end) = extent(start, offset, available, &shape, &strides)
        .ok_or_else(|| Fault::damaged("reaches outside its storage"))?;
    Ok(View { key, dtype, start, shape, strides, num_elements, end })
}

/// First element, number of elements, and the element after the last one, counted in the block; none
/// where the view leaves its storage of `available` elements from `storage_start`.
fn extent(
    storage_start: u64,
    offset: i64,
    available: u64,
    shape: &[usize],
    strides: &[usize],
) -> Option<(usize, usize, usize)> {
    let num_elements = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size))?;
    let offset = u64::try_from(offset).ok()?;
    let start = usize::try_from(storage_start.checked_add(offset)?).ok()?;
    if num_elements == 0 {
        return Some((start, 0, 0));
    }
    let last = shape.iter().zip(strides).try_fold(0usize, |last, (&size, &stride)| {
        last.checked_add((size - 1).checked_mul(stride)?)
    })?;
    let end = start.checked_add(last)?.checked_add(1)?;
    let limit = usize::try_from(storage_start.checked_add(available)?).ok()?;
    (end <= limit).then_some((start, num_elements, end))
}

fn naturals(heap: &Heap<'_>, value: Value<'_>) -> Option<Vec<usize>> {
    let values = heap.sequence(value)?;
    if values.len() > MAX_RANK {
        return None;
    }
    values
        .iter()
        .map(|value| match value {
            Value::Int(value) => usize::try_from(*value).ok(),
            _ => None,
        })
        .collect()
}
