//! Prefix tree over bytes, used for wildcard patterns and the word list.

/// A prefix tree with numbers at its nodes.
#[derive(Debug)]
pub(super) struct PrefixTree {
    nodes: Vec<PrefixNode>,
}

#[derive(Debug, Default)]
struct PrefixNode {
    /// The child nodes by byte, sorted.
    next: Vec<(u8, u32)>,
    items: Vec<usize>,
}

impl Default for PrefixTree {
    fn default() -> Self {
        Self { nodes: vec![PrefixNode::default()] }
    }
}

impl PrefixTree {
    /// Adds a path and returns the numbers at its last node.
    pub(super) fn insert(&mut self, path: impl Iterator<Item = u8>) -> Option<&mut Vec<usize>> {
        let mut at = 0;
        for byte in path {
            let fresh = self.nodes.len();
            let node = self.nodes.get_mut(at)?;
            at = match node.next.binary_search_by_key(&byte, |(byte, _)| *byte) {
                Ok(found) => node.next.get(found).map_or(at, |(_, to)| *to as usize),
                Err(index) => {
                    node.next.insert(index, (byte, u32::try_from(fresh).unwrap_or(u32::MAX)));
                    self.nodes.push(PrefixNode::default());
                    fresh
                }
            };
        }
        self.nodes.get_mut(at).map(|node| &mut node.items)
    }

    /// The numbers of each node.
    pub(super) fn numbers(&self) -> impl Iterator<Item = &Vec<usize>> {
        self.nodes.iter().map(|node| &node.items)
    }

    /// The numbers of each node.
    pub(super) fn numbers_mut(&mut self) -> impl Iterator<Item = &mut Vec<usize>> {
        self.nodes.iter_mut().map(|node| &mut node.items)
    }

    /// Walks along the bytes as far as the tree reaches, and calls `show` with each number on the
    /// path.
    pub(super) fn walk(&self, path: impl Iterator<Item = u8>, mut show: impl FnMut(usize)) {
        let mut node = self.nodes.first();
        let mut path = path;
        while let Some(here) = node {
            here.items.iter().for_each(|item| show(*item));
            let Some(byte) = path.next() else { return };
            node = here
                .next
                .binary_search_by_key(&byte, |(byte, _)| *byte)
                .ok()
                .and_then(|found| here.next.get(found))
                .and_then(|(_, to)| self.nodes.get(*to as usize));
        }
    }
}
