//! Turning stored blocks into tensors, a block at a time.

use std::collections::HashMap;

use super::checkpoint::View;
use super::fault::{Fault, Result};
use super::{StateDict, TensorData};

/// Views may share or repeat a block, so tensors may need more memory than the file is long. Up to
/// this they may in any case: a tied or an expanded tensor.
const FREE_TENSOR_BYTES: u64 = 64 << 20;

/// How many times the file's length its tensors may need beyond that.
const MAX_EXPANSION: u64 = 4;

/// What all tensors of a file, or one of its blocks, may take: half the memory of a small machine.
/// A ResNet152 takes 0.25 GB.
pub(super) const MAX_TENSOR_BYTES: u64 = 2 << 30;

/// Tensors that wait for their blocks.
pub(super) struct Assembly<'a> {
    tensors: Vec<(&'a str, View<'a>, Option<Vec<u8>>)>,
    /// Places in `tensors`, by block.
    users: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Assembly<'a> {
    /// Plans the tensors of a file of `file_bytes` bytes. Nothing of their size is allocated yet.
    ///
    /// # Errors
    /// A fault when together they need more memory than the file's length explains.
    pub(super) fn plan(views: Vec<(&'a str, View<'a>)>, file_bytes: u64) -> Result<Self> {
        let limit =
            file_bytes.saturating_mul(MAX_EXPANSION).clamp(FREE_TENSOR_BYTES, MAX_TENSOR_BYTES);
        let mut total = 0u64;
        let mut users: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, (name, view)) in views.iter().enumerate() {
            let bytes = (view.num_elements as u64).saturating_mul(view.dtype.size_bytes() as u64);
            total = total.saturating_add(bytes);
            if total > limit {
                return Err(Fault::Damaged(format!(
                    "its tensors up to {name:?} declare {total} bytes, more than the {limit} that \
                     a file of its length can stand for"
                )));
            }
            users.entry(view.key).or_default().push(place);
        }
        let tensors = views.into_iter().map(|(name, view)| (name, view, None)).collect();
        Ok(Assembly { tensors, users })
    }

    /// The blocks that are still needed, in the order of the tensors.
    pub(super) fn missing_blocks(&self) -> Vec<&'a str> {
        let first_use = |&(place, (_, view, _)): &(usize, &(_, View<'a>, _))| {
            self.users.get(view.key).is_some_and(|users| users[0] == place)
        };
        self.tensors
            .iter()
            .enumerate()
            .filter(first_use)
            .map(|(_, (_, view, _))| view.key)
            .collect()
    }

    /// Whether the block called `key` is still needed.
    pub(super) fn needs(&self, key: &str) -> bool {
        self.users.contains_key(key)
    }

    /// Cuts the tensors of the block called `key` out of it.
    pub(super) fn supply(&mut self, key: &str, block: Vec<u8>) -> Result<()> {
        let users = self.users.remove(key).unwrap_or_default();
        for &place in &users {
            let (name, view, _) = &self.tensors[place];
            let end_byte = view.end.saturating_mul(view.dtype.size_bytes());
            if end_byte > block.len() {
                return Err(Fault::Damaged(format!(
                    "{name:?} needs {end_byte} bytes of block {key:?}, which has {}",
                    block.len()
                )));
            }
        }
        if let &[place] = users.as_slice()
            && is_whole(&self.tensors[place].1, block.len())
        {
            self.tensors[place].2 = Some(block);
            return Ok(());
        }
        for place in users {
            let (_, view, bytes) = &mut self.tensors[place];
            *bytes = Some(gather(view, &block));
        }
        Ok(())
    }

    /// The tensors, once every block was supplied.
    pub(super) fn finish(self) -> Result<StateDict> {
        self.tensors
            .into_iter()
            .map(|(name, view, bytes)| {
                let View { key, dtype, shape, .. } = view;
                let bytes = bytes.ok_or_else(|| {
                    Fault::Damaged(format!("block {key:?} of {name:?} is missing"))
                })?;
                Ok((name.to_owned(), TensorData { dtype, shape, bytes }))
            })
            .collect()
    }
}

/// Whether the view is the block of `block_bytes` bytes itself.
pub(super) fn is_whole(view: &View<'_>, block_bytes: usize) -> bool {
    let (run, outer_rank) = contiguous_tail(view);
    outer_rank == 0 && run * view.dtype.size_bytes() == block_bytes
}

/// How many elements in a row lie next to each other, and how many dimensions are left around them.
fn contiguous_tail(view: &View<'_>) -> (usize, usize) {
    let mut run = 1;
    let mut outer_rank = view.shape.len();
    while let Some(dim) = outer_rank.checked_sub(1) {
        if view.shape[dim] != 1 && view.strides[dim] != run {
            break;
        }
        run *= view.shape[dim];
        outer_rank = dim;
    }
    (run, outer_rank)
}

/// The view's elements in row-major order. `view.end` must lie within the block.
fn gather(view: &View<'_>, block: &[u8]) -> Vec<u8> {
    let element = view.dtype.size_bytes();
    let mut bytes = Vec::with_capacity(view.num_elements * element);
    if view.num_elements == 0 {
        return bytes;
    }
    let (run, outer_rank) = contiguous_tail(view);
    let mut index = vec![0; outer_rank];
    let mut position = view.start;
    loop {
        bytes.extend_from_slice(&block[position * element..(position + run) * element]);
        // Counts the outer dimensions up, the last one first.
        let mut dim = outer_rank;
        loop {
            let Some(next) = dim.checked_sub(1) else { return bytes };
            dim = next;
            index[dim] += 1;
            position += view.strides[dim];
            if index[dim] < view.shape[dim] {
                break;
            }
            position -= index[dim] * view.strides[dim];
            index[dim] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::state_dict::Dtype;

    /// The definition: the element at index (i, j, ..) is at start + i * stride_0 + j * stride_1 ...
    fn gather_one_by_one(view: &View<'_>, block: &[u8]) -> Vec<u8> {
        (0..view.num_elements)
            .flat_map(|element| {
                let mut rest = element;
                let mut position = view.start;
                for dim in (0..view.shape.len()).rev() {
                    position += rest % view.shape[dim] * view.strides[dim];
                    rest /= view.shape[dim];
                }
                block[position * 2..position * 2 + 2].to_vec()
            })
            .collect()
    }

    proptest! {
        #[test]
        fn gathering_follows_the_definition_of_strides(
            dims in prop::collection::vec((0usize..4, 0usize..9), 0..5),
            contiguous in any::<bool>(),
            start in 0usize..5,
        ) {
            let shape: Vec<usize> = dims.iter().map(|dim| dim.0).collect();
            let mut strides: Vec<usize> = dims.iter().map(|dim| dim.1).collect();
            if contiguous {
                let mut stride = 1;
                for dim in (0..shape.len()).rev() {
                    strides[dim] = stride;
                    stride *= shape[dim];
                }
            }
            let num_elements = shape.iter().product();
            let end = start + shape.iter().zip(&strides).map(|(n, s)| n * s).sum::<usize>() + 1;
            let block: Vec<u8> = (0..end as u16).flat_map(u16::to_le_bytes).collect();
            let view = View { key: "0", dtype: Dtype::I16, start, shape, strides, num_elements, end };
            prop_assert_eq!(gather(&view, &block), gather_one_by_one(&view, &block));
        }
    }
}
