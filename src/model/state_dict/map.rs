//! An insertion-ordered map of tensors by name.

use std::collections::HashMap;

use super::TensorData;

/// Tensors by name, in the order of insertion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateDict {
    entries: Vec<(String, TensorData)>,
    index: HashMap<String, usize>,
}

impl StateDict {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a tensor. One of the same name is replaced, keeps its place, and is returned.
    pub fn insert(&mut self, name: impl Into<String>, tensor: TensorData) -> Option<TensorData> {
        let name = name.into();
        match self.index.get(&name) {
            Some(&at) => Some(std::mem::replace(&mut self.entries[at].1, tensor)),
            None => {
                self.index.insert(name.clone(), self.entries.len());
                self.entries.push((name, tensor));
                None
            }
        }
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<&TensorData> {
        self.index.get(name).map(|&at| &self.entries[at].1)
    }

    /// Takes the tensor called `name` out; the order of the others stays.
    pub fn remove(&mut self, name: &str) -> Option<TensorData> {
        let at = self.index.remove(name)?;
        let (_, tensor) = self.entries.remove(at);
        for place in self.index.values_mut().filter(|place| **place > at) {
            *place -= 1;
        }
        Some(tensor)
    }

    /// Names with their tensors, in the order of insertion.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &TensorData)> {
        self.entries.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl FromIterator<(String, TensorData)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (String, TensorData)>>(entries: I) -> Self {
        let mut state_dict = StateDict::new();
        for (name, tensor) in entries {
            state_dict.insert(name, tensor);
        }
        state_dict
    }
}

impl IntoIterator for StateDict {
    type Item = (String, TensorData);
    type IntoIter = std::vec::IntoIter<(String, TensorData)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(state_dict: &StateDict) -> Vec<&str> {
        state_dict.iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn order_is_that_of_insertion_after_replacing_and_removing() {
        let mut state_dict: StateDict = ["d", "a", "c"]
            .map(|name| (name.to_owned(), TensorData::scalar_i64(0)))
            .into_iter()
            .collect();
        let replaced = state_dict.insert("a", TensorData::scalar_i64(7));
        assert_eq!(replaced, Some(TensorData::scalar_i64(0)));
        assert_eq!(names(&state_dict), ["d", "a", "c"]);

        assert_eq!(state_dict.remove("d"), Some(TensorData::scalar_i64(0)));
        assert_eq!(state_dict.remove("d"), None);
        state_dict.insert("b", TensorData::scalar_i64(1));
        assert_eq!(names(&state_dict), ["a", "c", "b"]);
        assert_eq!(state_dict.get("a"), Some(&TensorData::scalar_i64(7)));
        assert_eq!(state_dict.get("b"), Some(&TensorData::scalar_i64(1)));
        assert_eq!(state_dict.len(), 3);
    }
}
