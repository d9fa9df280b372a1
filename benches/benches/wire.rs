//! The wire: bytes that become calls.

use criterion::{Criterion, Throughput};
use serde_json::{Value, json};
use std::time::Duration;
use xenops_benches::caller::post;
use xenops_benches::fleet;
use xenops_core::interface::Value as Typed;
use xenops_core::wire::{Client, Connection, Encoding, Limits, Transport};

/// The programs' own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut group = criterion.benchmark_group("decode");
    let start = json!({"debug_info": "bench", "id": fleet::id(0), "paused": false});
    let add = json!({"debug_info": "bench", "vm": fleet::vm(0)});
    for (method, params) in [("VM.start", start), ("VM.add", add)] {
        for encoding in [Encoding::Json, Encoding::Xml] {
            let bytes = request(encoding, method, &params);
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            group.bench_function(format!("HTTP and {encoding:?}, {method}, {} bytes", bytes.len()), |bencher| {
                let mut connection = Connection::new(Limits::default());
                bencher.iter(|| {
                    connection.receive(&bytes);
                    let incoming = connection.next().expect("it is a whole request");
                    connection.reply::<_, ()>(incoming.id, Ok(&()));
                    connection.advance(connection.outgoing().len());
                    incoming
                });
            });
        }
    }
    group.finish();
    criterion.final_summary();
}

fn request(encoding: Encoding, method: &str, params: &Value) -> Vec<u8> {
    if encoding == Encoding::Json {
        return post(&json!({"method": method, "params": [params], "id": 0}).to_string());
    }
    let params: Typed = serde_json::from_value(params.clone()).expect("plain data");
    let transport = Transport::Http { host: "localhost".into(), path: "/".into() };
    let mut client = Client::new(transport, encoding, Limits::default());
    client.call(method, &[params]).expect("plain data has a form in XML");
    client.outgoing().to_vec()
}
