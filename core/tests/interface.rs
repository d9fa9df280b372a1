//! Upstream's own encodings of every call and answer, read and written back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use proptest::sample::Index;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::LazyLock;
use xenops_core::interface::extra::Stored;
use xenops_core::interface::{
    Answer, Call, Decode, Error, Kind, Metadata, Pci, Request, Task, Value, Vbd, Vgpu, Vif, Vm, VmExtra, Vusb,
};

/// One line of the samples: a request or a response of the method.
struct Sample {
    name: String,
    method: String,
    request: bool,
    body: Value,
}

static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    include_str!("data/rpc-samples.jsonl")
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |key| line.get(key).and_then(Value::as_str).unwrap().to_owned();
            let name = text("name");
            let method = name.split(' ').next().unwrap().to_owned();
            Sample { request: text("direction") == "request", body: line.get("body").unwrap().clone(), name, method }
        })
        .collect()
});

impl Sample {
    fn member(&self, key: &str) -> &Value {
        self.body.get(key).unwrap()
    }

    fn params(&self) -> &[Value] {
        match self.member("params") {
            Value::List(params) => params,
            _ => panic!("{}: params are a list", self.name),
        }
    }

    fn decode(&self) -> Result<Request, Error> {
        Request::decode(&self.method, self.params())
    }

    fn is_success(&self) -> bool {
        !self.request && *self.member("error") == Value::Null
    }
}

fn kind_of(method: &str) -> Kind {
    Call::METHODS.iter().find(|(name, _)| *name == method).unwrap().1
}

/// As JSON, where the order of keys makes no difference.
fn json(typed: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(typed).unwrap()
}

fn value(typed: &impl Serialize) -> Value {
    serde_json::from_str(&serde_json::to_string(typed).unwrap()).unwrap()
}

#[test]
fn every_request_is_read_and_written_back() {
    let mut seen = BTreeSet::new();
    for sample in SAMPLES.iter().filter(|sample| sample.request) {
        let request = sample.decode().unwrap_or_else(|why| panic!("{}: {why}", sample.name));
        let (method, params) = request.encode();
        assert_eq!(method, sample.method);
        assert_eq!(json(&[params]), json(sample.member("params")), "{}", sample.name);
        assert_eq!(request.call.method(), method);
        assert_eq!(request.call.kind(), kind_of(method));
        seen.insert(method);
    }
    assert_eq!(seen, Call::METHODS.iter().map(|(method, _)| *method).collect(), "a sample for each method");
}

#[test]
fn every_response_is_read_and_written_back() {
    for sample in SAMPLES.iter().filter(|sample| !sample.request) {
        if sample.is_success() {
            let result = sample.member("result");
            let answer =
                Answer::decode(kind_of(&sample.method), result).unwrap_or_else(|why| panic!("{}: {why}", sample.name));
            assert_eq!(json(&answer), json(result), "{}", sample.name);
        } else {
            let error = Error::decode(sample.member("error")).unwrap();
            assert_eq!(json(&error), json(sample.member("error")), "{}", sample.name);
            assert!(error != Error::UnknownError || sample.name == "error: Unknown_error", "{}", sample.name);
            assert_eq!(error.to_string(), error.to_string().trim_end_matches('.'));
        }
    }
}

#[test]
fn wrong_calls_get_upstreams_answer() {
    let start = |params: &str| ("VM.start", params.to_owned());
    let vm = r#""id":"u","debug_info":"d""#;
    for (name, (method, params)) in [
        ("VM.start with missing named argument", start(&format!("[{{{vm}}}]"))),
        ("VM.start with wrongly typed argument", start(&format!(r#"[{{{vm},"paused":"false"}}]"#))),
        ("VM.start called with positional params", start(r#"["d","u",false]"#)),
        (
            "HOST.set_worker_pool_size given a float (rejected)",
            ("HOST.set_worker_pool_size", r#"[{"debug_info":"d","pool_size":25.0}]"#.into()),
        ),
        (
            "UPDATES.get with explicit null option (rejected)",
            ("UPDATES.get", r#"[{"debug_info":"d","last_id":null}]"#.into()),
        ),
    ] {
        let expected = SAMPLES.iter().find(|sample| sample.name == name).unwrap();
        let params: Vec<Value> = serde_json::from_str(&params).unwrap();
        let error = Request::decode(method, &params).unwrap_err();
        assert_eq!(json(&error), json(expected.member("error")), "{name}");
    }
}

#[test]
fn calls_are_taken_as_upstream_takes_them() {
    let decode = |method: &str, params: &str| {
        let params: Vec<Value> = serde_json::from_str(params).unwrap();
        Request::decode(method, &params)
    };
    let marshal = |text: &str| Err(Error::InternalError(format!("Idl.MarshalError(\"{text}\")")));
    let request = |call| Ok(Request { debug_info: "d".into(), call });
    let pool = |size| request(Call::HostSetWorkerPoolSize { pool_size: size });
    for (method, params, expected) in [
        ("HOST.set_worker_pool_size", r#"[{"debug_info":"d","pool_size":"25"}]"#, pool(25)),
        // Surplus parameters and values are ignored; of two the first counts; names match exactly.
        ("HOST.set_worker_pool_size", r#"[{"x":1,"pool_size":1,"debug_info":"d","pool_size":"y"},2]"#, pool(1)),
        (
            "HOST.set_worker_pool_size",
            r#"[{"debug_info":"d","Pool_size":1}]"#,
            marshal("Expecting named argument 'pool_size'"),
        ),
        // The debug text comes first, then the others in their order.
        ("VM.start", r#"[{}]"#, marshal("Expecting named argument 'debug_info'")),
        ("Observer.init", r#"[{"debug_info":"d"}]"#, marshal("Expecting named argument 'dbg'")),
        ("Observer.init", r#"[{"dbg":"d"}]"#, request(Call::ObserverInit)),
        // Unit is a parameter like any other.
        ("VM.list", r#"[{"debug_info":"d"}]"#, marshal("Expecting named argument 'unit'")),
        ("VM.list", r#"[{"debug_info":"d","unit":false}]"#, marshal("Expected unit, got 'B(false)'")),
        // Two methods are still called by position.
        ("query", r#"["d",null]"#, request(Call::Query)),
        ("query", r#"["d",5]"#, marshal("Expected unit, got 'I(5)'")),
        ("VM.import_metadata", r#"["d","{}"]"#, request(Call::VmImportMetadata { metadata: "{}".into() })),
        (
            "VM.list",
            r#"["d",null]"#,
            marshal("Marshalling error: Expecting dict as first argument when named parameters exist"),
        ),
        ("query", "[]", marshal("Marshalling error: Expecting dict as first argument when named parameters exist")),
        // Method names match exactly.
        ("TASK.stat", r#"[{"debug_info":"d","id":"1"}]"#, Err(Error::Unimplemented("TASK.stat".into()))),
    ] {
        assert_eq!(decode(method, params), expected, "{method} {params}");
    }
}

#[test]
fn metadata_and_the_back_ends_record_are_read_and_written_back() {
    let text = SAMPLES.iter().find(|sample| sample.name == "VM.export_metadata" && !sample.request).unwrap();
    let text = text.member("result").as_str().unwrap().to_owned();
    let metadata: Metadata = serde_json::from_str(&text).unwrap();
    assert_eq!(json(&metadata), serde_json::from_str::<serde_json::Value>(&text).unwrap());

    let text = include_str!("data/vm-extra.json");
    let persistent: VmExtra = serde_json::from_str(text).unwrap();
    assert_eq!(json(&persistent), serde_json::from_str::<serde_json::Value>(text).unwrap());
    let stored = Stored { persistent };
    assert_eq!(serde_json::from_str::<Stored>(&serde_json::to_string(&stored).unwrap()).unwrap(), stored);
}

/// Values of a few levels, whose texts are now and then tags, keys and numbers of the interface.
fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("Xen"),
        Just("Disk"),
        Just("Local"),
        Just("VDI"),
        Just("Uefi"),
        Just("idle"),
        Just("Other"),
        Just("Static4"),
        Just("BuildPVH"),
        Just("0x1F"),
        Just("-7"),
        Just("1e3"),
        Just("")
    ];
    let text = prop_oneof![text.prop_map(str::to_owned), ".{0,6}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        prop_oneof![any::<i64>(), 0..20i64].prop_map(Value::Int),
        // JSON has no others.
        any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(Value::Float),
        text.clone().prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 12, 3, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            proptest::collection::vec((text.clone(), inner), 0..4).prop_map(Value::Dict),
        ]
    })
}

/// How many values a value consists of.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::List(items) => items.iter().map(size).sum(),
        Value::Dict(entries) => entries.iter().map(|(_, value)| size(value)).sum(),
        _ => 0,
    }
}

/// Puts another value where the n-th was.
fn replace(value: &mut Value, n: &mut usize, with: &Value) {
    if *n == 0 {
        *value = with.clone();
    }
    *n = n.wrapping_sub(1);
    match value {
        Value::List(items) => items.iter_mut().for_each(|item| replace(item, n, with)),
        Value::Dict(entries) => entries.iter_mut().for_each(|(_, value)| replace(value, n, with)),
        _ => (),
    }
}

fn changed(value: &Value, changes: &[(Index, Value)]) -> Value {
    let mut value = value.clone();
    for (place, with) in changes {
        let mut n = place.index(size(&value));
        replace(&mut value, &mut n, with);
    }
    value
}

/// What can be read is read back as the same, directly and through serde.
fn settled<T: Decode + Serialize + DeserializeOwned + PartialEq + Debug>(input: &Value) {
    if let Ok(typed) = T::decode(input) {
        assert_eq!(T::decode(&value(&typed)).as_ref(), Ok(&typed));
        assert_eq!(serde_json::from_str::<T>(&serde_json::to_string(&typed).unwrap()).unwrap(), typed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_request_is_refused_or_settled(
        sample: Index,
        changes in proptest::collection::vec((any::<Index>(), any_value()), 0..3),
    ) {
        let requests: Vec<&Sample> = SAMPLES.iter().filter(|sample| sample.request).collect();
        let sample = sample.get(&requests);
        let params = changed(sample.member("params"), &changes);
        let Value::List(params) = params else { return Ok(()) };
        if let Ok(request) = Request::decode(&sample.method, &params) {
            let (method, again) = request.encode();
            prop_assert_eq!(Request::decode(method, &[again]), Ok(request.clone()));
            let recorded: Request = serde_json::from_str(&serde_json::to_string(&request).unwrap()).unwrap();
            prop_assert_eq!(recorded, request);
        }
    }

    #[test]
    fn a_changed_response_is_refused_or_settled(
        sample: Index,
        changes in proptest::collection::vec((any::<Index>(), any_value()), 0..3),
    ) {
        let responses: Vec<&Sample> = SAMPLES.iter().filter(|sample| !sample.request).collect();
        let sample = sample.get(&responses);
        if sample.is_success() {
            let kind = kind_of(&sample.method);
            let result = changed(sample.member("result"), &changes);
            if let Ok(answer) = Answer::decode(kind, &result) {
                prop_assert_eq!(answer.kind(), kind);
                prop_assert_eq!(Answer::decode(kind, &value(&answer)), Ok(answer));
            }
        } else {
            settled::<Error>(&changed(sample.member("error"), &changes));
        }
    }

    #[test]
    fn a_changed_record_is_refused_or_settled(
        changes in proptest::collection::vec((any::<Index>(), any_value()), 0..3),
        anything in any_value(),
    ) {
        let extra: Value = serde_json::from_str(include_str!("data/vm-extra.json")).unwrap();
        settled::<VmExtra>(&changed(&extra, &changes));
        let anything = changed(&anything, &changes);
        settled::<Metadata>(&anything);
        settled::<Vm>(&anything);
        settled::<Vbd>(&anything);
        settled::<Vif>(&anything);
        settled::<Pci>(&anything);
        settled::<Vgpu>(&anything);
        settled::<Vusb>(&anything);
        settled::<Task>(&anything);
        settled::<Error>(&anything);
    }
}
