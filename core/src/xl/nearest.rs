//! Which known words a mistyped one may stand for.

/// Words longer than this are compared by their beginnings.
const LONGEST: usize = 64;

/// The known words that differ from `word` least, best first; none where all differ much. Case does not count.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = letters(word);
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|candidate| {
            let other = letters(candidate);
            let edits = distance(&word, &other);
            let begins = word.len() >= 3 && other.starts_with(&word);
            (begins || edits <= word.len().max(other.len()).div_ceil(3).min(word.len() / 2))
                .then_some((edits, candidate))
        })
        .collect();
    near.sort();
    near.dedup();
    near.truncate(3);
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

fn letters(word: &str) -> Vec<char> {
    word.chars().take(LONGEST).flat_map(char::to_lowercase).collect()
}

/// Letters to insert, delete, replace or swap with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = [Vec::new(), Vec::new(), (0..=b.len()).collect::<Vec<usize>>()];
    for (i, x) in a.iter().enumerate() {
        rows.rotate_left(1);
        let [before, above, row] = &mut rows;
        row.clear();
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let mut edits = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                edits = edits.min(before[j - 1] + 1);
            }
            row.push(edits);
        }
    }
    rows[2][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_meant_is_found() {
        let known = ["memory", "kernel", "name", "vif", "bootloader", "boot"];
        for (word, meant) in [
            ("memroy", &["memory"][..]),
            ("MEMORY", &["memory"]),
            ("kernal", &["kernel"]),
            ("vfi", &["vif"]),
            ("boo", &["boot", "bootloader"]),
            ("usbdev", &[]),
            ("x", &[]),
            ("", &[]),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }

    proptest! {
        #[test]
        fn a_word_is_nearest_to_itself(word in "[a-z_]{2,80}", others in proptest::collection::vec("[a-z_]{2,80}", 0..8)) {
            let known = others.iter().map(String::as_str).chain([word.as_str()]);
            let found = nearest(&word, known)[0].to_owned();
            prop_assert_eq!(distance(&letters(&found), &letters(&word)), 0);
        }

        #[test]
        fn distances_are_symmetric(a in "[abc]{0,8}", b in "[abc]{0,8}") {
            prop_assert_eq!(distance(&letters(&a), &letters(&b)), distance(&letters(&b), &letters(&a)));
            prop_assert_eq!(distance(&letters(&a), &letters(&b)) == 0, a == b);
        }
    }
}
