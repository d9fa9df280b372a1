//! An element of a list of devices: parts between commas, some of them `key=value`.

use super::keys::Text;

/// A part of an element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part<'a> {
    /// A value known by its place.
    Placed(Text<'a>),
    /// A key, and the value right of `=`.
    Named(Text<'a>, Text<'a>),
}

/// The parts of an element, without the blanks around them.
pub(super) fn parts((spot, element): Text<'_>) -> impl Iterator<Item = Part<'_>> {
    let mut start = spot;
    element.split(',').map(move |whole| {
        let here = start;
        start = here.right(whole.chars().count() + 1);
        let named = whole.split_once('=').filter(|(key, _)| is_key(key.trim()));
        match named {
            Some((key, value)) => {
                Part::Named(trimmed((here, key)), trimmed((here.right(key.chars().count() + 1), value)))
            }
            None => Part::Placed(trimmed((here, whole))),
        }
    })
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
}

fn trimmed((spot, text): Text<'_>) -> Text<'_> {
    let blanks = text.chars().take_while(|c| c.is_whitespace()).count();
    (spot.right(blanks), text.trim())
}
