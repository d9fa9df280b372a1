//! The text that accompanies each call: a tag for logs, and where tracing stands.

use super::decode::Decode;
use super::malformed::Malformed;
use super::value::Value;
use serde::Serialize;

/// The text that accompanies a call.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct DebugInfo(pub String);

impl DebugInfo {
    /// The part for logs.
    pub fn tag(&self) -> &str {
        self.parts().map_or(&self.0, |(tag, _)| tag)
    }

    /// Where tracing stands, if the caller traces.
    pub fn trace(&self) -> Option<Trace> {
        let (_, text) = self.parts()?;
        let Ok(value) = serde_json::from_str::<Value>(text) else {
            // Older senders write the bare traceparent.
            return Some(Trace { traceparent: Some(text.to_owned()), baggage: None });
        };
        let field = |key| value.get(key).filter(|field| **field != Value::Null);
        let traceparent = field("traceparent").map(String::decode).transpose().ok()?;
        let baggage = field("baggage").map(Decode::decode).transpose().ok()?;
        (traceparent.is_some() || baggage.is_some()).then_some(Trace { traceparent, baggage })
    }

    /// Before and after the one newline; with more of them all is tag.
    fn parts(&self) -> Option<(&str, &str)> {
        self.0.split_once('\n').filter(|(_, rest)| !rest.contains('\n'))
    }
}

impl From<&str> for DebugInfo {
    fn from(text: &str) -> DebugInfo {
        DebugInfo(text.to_owned())
    }
}

impl Decode for DebugInfo {
    fn decode(value: &Value) -> Result<DebugInfo, Malformed> {
        String::decode(value).map(DebugInfo)
    }
}

deserialize_by_decoding!(DebugInfo);

/// A caller's place in a distributed trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// W3C's text: version, trace, span and flags.
    pub traceparent: Option<String>,
    /// Keys and values that travel along.
    pub baggage: Option<Vec<(String, String)>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_taken_apart() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = |baggage: Option<&[(&str, &str)]>| {
            let owned = |(k, v): &(&str, &str)| (k.to_string(), v.to_string());
            Some(Trace { traceparent: Some(parent.into()), baggage: baggage.map(|b| b.iter().map(owned).collect()) })
        };
        for (text, tag, expected) in [
            ("VM.start R:1".to_owned(), "VM.start R:1", None),
            (format!("t\n{parent}"), "t", trace(None)),
            (format!("t\n{{\"traceparent\":\"{parent}\",\"baggage\":null}}"), "t", trace(None)),
            (
                format!("t\n{{\"traceparent\":\"{parent}\",\"baggage\":[[\"k\",\"v\"]]}}"),
                "t",
                trace(Some(&[("k", "v")])),
            ),
            ("t\n{\"traceparent\":null,\"baggage\":null}".to_owned(), "t", None),
            ("t\n[1]".to_owned(), "t", None),
            ("t\n{\"traceparent\":5}".to_owned(), "t", None),
            ("a\nb\nc".to_owned(), "a\nb\nc", None),
        ] {
            let info = DebugInfo(text);
            assert_eq!((info.tag(), info.trace()), (tag, expected));
        }
    }
}
