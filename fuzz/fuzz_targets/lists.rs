//! Filter lists of arbitrary text, matched against URLs: nothing panics, and an empty list matches nothing.

#![no_main]

use consentry::catalogue::{Catalogue, FilterLists};
use consentry::consent::Category;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let last = text.lines().last().unwrap_or_default().to_owned();
    let _ = FilterLists::lines_in(&text);
    let Ok(lists) = FilterLists::compile(vec![text], Category::ANALYTICS) else { return };
    let catalogue = Catalogue::compile([], []).with_lists(Some(lists));
    for url in ["https://tracker.example/collect?v=1".to_owned(), format!("https://tracker.example/{last}")] {
        let _ = catalogue.third_party("tracker.example", "shop.example", &url, "script");
    }
    let none = FilterLists::compile(vec![String::new()], Category::ANALYTICS).expect("a list");
    let nothing = Catalogue::compile([], []).with_lists(Some(none));
    assert!(nothing.third_party("tracker.example", "shop.example", "https://tracker.example/x", "image").is_none());
});
