//! The order of the classes: which output of the head is which class.

use std::collections::HashMap;

/// Class names in the order of the head's outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassIndex {
    class_names: Vec<String>,
    class_to_idx: HashMap<String, usize>,
}

impl ClassIndex {
    /// Sorts the names by byte, as torchvision's ImageFolder does.
    pub fn new(class_names: impl IntoIterator<Item = String>) -> Self {
        let mut class_names: Vec<String> = class_names.into_iter().collect();
        class_names.sort_unstable();
        class_names.dedup();
        let class_to_idx =
            class_names.iter().enumerate().map(|(idx, name)| (name.clone(), idx)).collect();
        ClassIndex { class_names, class_to_idx }
    }

    /// Number of classes, which is the number of the head's outputs.
    pub fn len(&self) -> usize {
        self.class_names.len()
    }

    /// Whether there is no class at all.
    pub fn is_empty(&self) -> bool {
        self.class_names.is_empty()
    }

    /// Names in the order of the outputs.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Name of output `target`.
    pub fn name(&self, target: usize) -> &str {
        &self.class_names[target]
    }

    /// Output of the class `name`.
    pub fn idx(&self, name: &str) -> Option<usize> {
        self.class_to_idx.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_sorted_by_byte_whatever_order_they_came_in() {
        let index = ClassIndex::new(["b", "a10", "B", "a2"].map(String::from));
        assert_eq!(index.class_names(), ["B", "a10", "a2", "b"]);
        assert_eq!(index.idx("a2"), Some(2));
        assert_eq!(index.idx("c"), None);
        assert_eq!(index.name(0), "B");
    }
}
