//! What was seen and no rule knows: names of cookies, paths of beacons. Never a value.

use super::bounded::Bounded;

/// The most names kept of each kind.
const MAX_NAMES: usize = 512;

/// Cookies and beacons seen that no rule knows, each kind bounded.
#[derive(Debug)]
pub struct Inventory {
    set: Bounded<()>,
    sent: Bounded<()>,
    beacons: Bounded<()>,
}

impl Default for Inventory {
    fn default() -> Self {
        Self {
            set: Bounded::new(MAX_NAMES),
            sent: Bounded::new(MAX_NAMES),
            beacons: Bounded::new(MAX_NAMES),
        }
    }
}

impl Inventory {
    /// Unclassified cookies that the origin sets, sorted by name.
    pub fn cookies_set(&self) -> Vec<String> {
        readable(&self.set)
    }

    /// Unclassified cookies that visitors sent, sorted by name. Visitors can send anything.
    pub fn cookies_sent(&self) -> Vec<String> {
        readable(&self.sent)
    }

    /// Paths whose responses look like beacons that no rule knows, sorted.
    pub fn beacons(&self) -> Vec<String> {
        readable(&self.beacons)
    }

    pub(super) fn note_set(&self, name: &[u8]) {
        if note(&self.set, name) {
            tracing::info!(cookie = %name.escape_ascii(), "the origin sets a cookie that no rule knows");
        }
    }

    pub(super) fn note_sent(&self, name: &[u8]) {
        if note(&self.sent, name) {
            tracing::debug!(cookie = %name.escape_ascii(), "a visitor sent a cookie that no rule knows");
        }
    }

    pub(super) fn note_beacon(&self, path: &str) {
        if note(&self.beacons, path.as_bytes()) {
            tracing::info!(path, "a response looks like a beacon that no rule knows");
        }
    }
}

/// Whether the name is new; the map's bound also bounds the log.
fn note(names: &Bounded<()>, name: &[u8]) -> bool {
    if !names.would_add(name) {
        return false;
    }
    let mut added = false;
    names.update(name, |known| {
        added = known.is_none();
        known.is_none().then_some(())
    });
    added
}

fn readable(names: &Bounded<()>) -> Vec<String> {
    names.names().iter().map(|name| name.escape_ascii().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inventory_is_bounded_in_number_and_length() {
        let inventory = Inventory::default();
        for number in 0..2 * MAX_NAMES {
            inventory.note_sent(format!("name-{number}").as_bytes());
        }
        inventory.note_set(&vec![b'x'; 10_000]);
        inventory.note_set(b"a\xff\n");
        assert_eq!(inventory.cookies_sent().len(), MAX_NAMES);
        assert_eq!(inventory.cookies_set(), ["a\\xff\\n"]);
    }
}
