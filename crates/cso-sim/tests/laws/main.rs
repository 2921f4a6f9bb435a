//! The laws: what must hold of every kind, checked for every kind. `docs/laws.md` says each in words.
//!
//! The wishes are generated from the kind and its published surface, with a fixed seed; `PROPTEST_CASES` says how many
//! of them each law sees. There is no list of exemptions: a law that fails names a bug.

mod annotations;
mod bench;
mod bounds;
mod convergence;
mod crash;
mod decisions;
mod import;
mod names;
mod ownership;
mod plans;
mod revisions;
mod secrets;
mod values;
mod wishes;

/// The page that maps numbers to tests names only tests that exist, and all numbers.
#[test]
fn every_number_has_its_tests() {
    let page = include_str!("../../../../docs/laws.md");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/laws");
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let number: usize = cells.next()?.parse().ok()?;
        Some((number, cells.nth(1)?.trim_end_matches(" |").to_owned()))
    });
    let mut numbers = Vec::new();
    for (number, tests) in rows {
        numbers.push(number);
        for test in tests.split('`').filter(|part| part.contains("::")) {
            let (module, name) = test.split_once("::").expect("it was looked for");
            let text = std::fs::read_to_string(folder.join(module).with_extension("rs")).expect(module);
            assert!(text.contains(&format!("#[test]\nfn {name}()")), "law {number}: there is no test {test}");
        }
        assert!(tests.contains("::"), "law {number} has no test");
    }
    assert_eq!(numbers, (1..=22).collect::<Vec<_>>());
}
