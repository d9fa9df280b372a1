//! Numbers written as text, read as OCaml reads its literals.

/// An integer literal: decimal, `0x`, `0o`, `0b` or `0u`, a sign before it, underscores after its first
/// digit. Only plain decimals are kept to the signed range; the others may wrap into the sign bit.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, signed, digits) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, false, &digits[2..]),
        Some("0o") => (8, false, &digits[2..]),
        Some("0b") => (2, false, &digits[2..]),
        Some("0u") => (10, false, &digits[2..]),
        _ => (10, true, digits),
    };
    if digits.starts_with('_') || digits.is_empty() {
        return None;
    }
    let mut magnitude = 0u64;
    for c in digits.chars().filter(|c| *c != '_') {
        magnitude = magnitude.checked_mul(radix.into())?.checked_add(c.to_digit(radix)?.into())?;
    }
    let limit = 1 << 63;
    if signed && (magnitude > limit || magnitude == limit && !negative) {
        return None;
    }
    Some(if negative { (magnitude as i64).wrapping_neg() } else { magnitude as i64 })
}

/// A float literal: decimal, underscores allowed. Hexadecimal ones and those without a finite value are
/// refused: no client writes them, and JSON could not carry them on.
pub(crate) fn float(text: &str) -> Option<f64> {
    let x: f64 = match text.contains('_') {
        true => text.replace('_', "").parse().ok()?,
        false => text.parse().ok()?,
    };
    x.is_finite().then_some(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn literals() {
        for (text, value) in [
            ("25", Some(25)),
            ("-1", Some(-1)),
            ("+7", Some(7)),
            ("0x10", Some(16)),
            ("-0X1f", Some(-31)),
            ("0b11", Some(3)),
            ("0o17", Some(15)),
            ("0u9", Some(9)),
            ("1_000", Some(1000)),
            ("1_", Some(1)),
            ("0xffffffffffffffff", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("18446744073709551616", None),
            ("_1", None),
            ("0x", None),
            ("0x_1", None),
            ("", None),
            ("-", None),
            ("--1", None),
            ("1.0", None),
            (" 1", None),
            ("0b2", None),
            ("é1", None),
        ] {
            assert_eq!(integer(text), value, "{text}");
        }
        for (text, value) in [
            ("1.5", Some(1.5)),
            ("2", Some(2.0)),
            ("1_0.5", Some(10.5)),
            ("1e3", Some(1000.0)),
            ("nan", None),
            ("x", None),
        ] {
            assert_eq!(float(text), value, "{text}");
        }
    }

    proptest! {
        #[test]
        fn written_numbers_are_read_back(i: i64, x in proptest::num::f64::NORMAL) {
            prop_assert_eq!(integer(&i.to_string()), Some(i));
            prop_assert_eq!(integer(&format!("{i:#x}")), Some(i));
            prop_assert_eq!(float(&x.to_string()), Some(x));
        }

        #[test]
        fn no_text_is_too_strange(text in ".*") {
            integer(&text);
            float(&text);
        }
    }
}
