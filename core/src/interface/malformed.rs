//! Why a value could not be decoded, in upstream's words.

use super::value::Value;
use std::fmt;

/// The text that upstream's decoder gives for the same value: clients see it in `Internal_error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

impl Malformed {
    /// A value of another type than the one named.
    pub fn expected(what: &str, value: &Value) -> Malformed {
        match value {
            Value::String(text) if !matches!(what, "bool" | "string" | "unit") => {
                Malformed(format!("Expected {what}, got string '{text}'"))
            }
            _ => Malformed(format!("Expected {what}, got '{}'", Rendered(value))),
        }
    }

    /// A variant without that tag.
    pub fn unknown_tag(tag: &str) -> Malformed {
        Malformed(format!("Unknown tag '{}'", tag.to_ascii_lowercase()))
    }

    /// An option that is not a sequence of none or one.
    pub(crate) fn no_option(value: &Value) -> Malformed {
        Malformed(format!("Expecting an Enum value, got '{}'", Rendered(value)))
    }

    /// An element of a list, for the reason given.
    pub(crate) fn in_list(self, element: &Value) -> Malformed {
        Malformed(format!("Failed to unmarshal array: {self} (when unmarshalling: {})", Rendered(element)))
    }

    /// The exception as upstream prints it, its text quoted as an OCaml literal.
    pub(crate) fn as_exception(&self) -> String {
        let mut quoted = String::with_capacity(self.0.len() + 20);
        for byte in self.0.bytes() {
            match byte {
                b'"' => quoted.push_str("\\\""),
                b'\\' => quoted.push_str("\\\\"),
                b'\n' => quoted.push_str("\\n"),
                b'\t' => quoted.push_str("\\t"),
                b'\r' => quoted.push_str("\\r"),
                8 => quoted.push_str("\\b"),
                b' '..=b'~' => quoted.push(byte as char),
                _ => quoted.push_str(&format!("\\{byte:03}")),
            }
        }
        format!("Idl.MarshalError(\"{quoted}\")")
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

/// A value as upstream prints it in error texts: `S(false)`, `[I(1);N]`, `{k:B(true)}`.
struct Rendered<'a>(&'a Value);

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("N"),
            Value::Bool(b) => write!(f, "B({b})"),
            Value::Int(i) => write!(f, "I({i})"),
            Value::Float(x) => write!(f, "F({})", short_float(*x)),
            Value::String(s) => write!(f, "S({s})"),
            Value::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{}", if i > 0 { ";" } else { "" }, Rendered(item))?;
                }
                f.write_str("]")
            }
            Value::Dict(entries) => {
                f.write_str("{")?;
                for (i, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{key}:{}", if i > 0 { ";" } else { "" }, Rendered(value))?;
                }
                f.write_str("}")
            }
        }
    }
}

/// C's `%g`: six significant digits, no trailing zeros, an exponent below 1e-4 and from 1e6.
fn short_float(x: f64) -> String {
    let scientific = format!("{x:.5e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific.to_lowercase();
    };
    let exponent: i32 = exponent.parse().expect("a float's exponent is a number");
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match exponent {
        -4..=5 => trimmed(&format!("{x:.*}", (5 - exponent) as usize)),
        _ => format!("{}e{}{:02}", trimmed(digits), if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_printed_as_c_does() {
        for (x, text) in [
            (25.0, "25"),
            (0.0, "0"),
            (-1.5, "-1.5"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123456.0, "123456"),
            (1234567.0, "1.23457e+06"),
            (1e16, "1e+16"),
            (999999.5, "1e+06"),
            (f64::NAN, "nan"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(short_float(x), text);
        }
    }

    #[test]
    fn exceptions_are_quoted_as_ocaml_does() {
        let text = Malformed("a \"b\"\\\n\u{7f}é".into()).as_exception();
        assert_eq!(text, r#"Idl.MarshalError("a \"b\"\\\n\127\195\169")"#);
    }
}
