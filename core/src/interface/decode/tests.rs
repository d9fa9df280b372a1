//! The rules of upstream's decoder, rule by rule.

use super::*;
use crate::interface::vbd::{self, Mode};
use crate::interface::vgpu::Implementation;
use crate::interface::vif::{Ipv4Configuration, LockingMode};
use crate::interface::vm::{Action, Firmware, HvmInfo, IgdPassthrough, OnBoot, SchedulerParams, VideoCard};
use crate::interface::{Disk, Error, Maybe, Network, Pairs, Pci, PowerState, Vbd, Vgpu, Vif, pci};

/// What JSON text is read as.
fn read<T: Decode>(json: &str) -> Result<T, String> {
    let value: Value = serde_json::from_str(json).unwrap();
    T::decode(&value).map_err(|why| why.0)
}

fn good<T: Decode + PartialEq + std::fmt::Debug>(rows: impl IntoIterator<Item = (&'static str, T)>) {
    for (json, expected) in rows {
        assert_eq!(read(json), Ok(expected), "{json}");
    }
}

fn bad<T: Decode + PartialEq + std::fmt::Debug>(rows: impl IntoIterator<Item = (&'static str, &'static str)>) {
    for (json, why) in rows {
        assert_eq!(read::<T>(json), Err(why.to_owned()), "{json}");
    }
}

#[test]
fn plain_values() {
    good([("25", 25), (r#""25""#, 25), (r#""-1""#, -1), (r#""0x10""#, 16), (r#""0b11""#, 3), (r#""1_000""#, 1000)]);
    bad::<i64>([
        ("25.0", "Expected int, got 'F(25)'"),
        ("null", "Expected int, got 'N'"),
        (r#""x""#, "Expected int, got string 'x'"),
        (r#"[1,{"k":true}]"#, "Expected int, got '[I(1);{k:B(true)}]'"),
    ]);
    good([("1.5", 1.5), ("2", 2.0), (r#""1_0.5""#, 10.5)]);
    bad::<f64>([("true", "Expected float, got 'B(true)'"), (r#""nan""#, "Expected float, got string 'nan'")]);
    good([("true", true)]);
    assert!(f64::decode(&Value::Float(f64::INFINITY)).is_err(), "no JSON text could carry it on");
    bad::<bool>([(r#""false""#, "Expected bool, got 'S(false)'"), ("1", "Expected bool, got 'I(1)'")]);
    good([(r#""""#, String::new())]);
    bad::<String>([("5", "Expected string, got 'I(5)'")]);
    good([("null", ())]);
    bad::<()>([("[]", "Expected unit, got '[]'")]);
    bad::<u32>([("-1", "Expected int, got 'I(-1)'")]);
    bad::<i32>([("2147483648", "Expected int32, got 'I(2147483648)'")]);
    let far: Result<Value, _> = serde_json::from_str("9223372036854775808");
    assert!(far.is_err(), "integers beyond 64 bits are no values at all");
}

#[test]
fn lists_tuples_and_maps() {
    good([("[[0,1],[]]", vec![vec![0, 1], vec![]])]);
    bad::<Vec<i64>>([
        ("{}", "Expecting array"),
        (r#"[1,"a",2,"b",3]"#, "Failed to unmarshal array: Expected int, got string 'b' (when unmarshalling: S(b))"),
    ]);
    good([("[1,[2,3]]", (1, vec![2, 3]))]);
    bad::<(i64, i64)>([("[1]", "Too many items in a tuple!"), ("1", "Expecting Rpc.Enum when unmarshalling a tuple")]);
    bad::<(i64, i64, i64)>([("[1,2]", "Expecting precisely 3 items when unmarshalling a Tuple3")]);
    let pairs: Pairs<i64> = [("b", 1), ("a", 2), ("b", 3)].into_iter().collect();
    good([(r#"{"b":1,"a":2,"b":3}"#, pairs)]);
    bad::<Pairs>([("[]", "Unhandled"), (r#"[["k","v"]]"#, "Unhandled")]);
    good([("[]", Maybe(None)), ("[5]", Maybe(Some(5)))]);
    bad::<Maybe<i64>>([
        ("5", "Expecting an Enum value, got 'I(5)'"),
        ("[1,2]", "Expecting an Enum value, got '[I(1);I(2)]'"),
    ]);
}

#[test]
fn records() {
    let params = |priority, affinity| SchedulerParams { priority, affinity };
    // Keys in either case, unknown ones ignored, the first of a kind counts, an option may be missing.
    good([
        (r#"{"affinity":[]}"#, params(None, vec![])),
        (r#"{"AFFINITY":[[1]],"affinity":[[2]],"x":null}"#, params(None, vec![vec![1]])),
    ]);
    bad::<SchedulerParams>([
        ("{}", "No value found for key: 'affinity' when unmarshalling 'scheduler_params'"),
        ("[]", "Expecting Rpc.Dict when unmarshalling a 'scheduler_params'"),
        (r#"{"affinity":null}"#, "Expecting array"),
        // An option without default is none only when it is missing.
        (r#"{"affinity":[],"priority":null}"#, "Expecting Rpc.Enum when unmarshalling a tuple"),
    ]);
    let pci = r#""id":["u","d"],"position":0,"address":{"domain":0,"bus":3,"dev":0,"fn":0}"#;
    let with = |field: &str| read::<Pci>(&format!("{{{pci}{field}}}"));
    assert_eq!(with("").map(|pci| (pci.msitranslate, pci.address.bus)), Ok((None, 3)));
    assert_eq!(with(r#","msitranslate":true"#).map(|pci| pci.msitranslate), Ok(Some(true)));
    assert_eq!(with(r#","msitranslate":null"#), Err("Expected bool, got 'N'".to_owned()));
    assert_eq!(with(r#","msitranslate":[true]"#), Err("Expected bool, got '[B(true)]'".to_owned()));
}

#[test]
fn a_declared_default_is_taken_on_any_failure() {
    for json in [
        r#"{"position":"xvda"}"#,
        r#"{"position":["Xen",0]}"#,
        r#"{"position":["Xen",-1,0]}"#,
        r#"{"mode":"Foo"}"#,
        r#"{"mode":null}"#,
        r#"{"id":"u"}"#,
        r#"{"backend":null}"#,
        r#"{"backend":[["Local","x"]]}"#,
        r#"{"qos":["Ionice",["RealTime","Best"]]}"#,
        r#"{"unpluggable":"false"}"#,
        r#"{"extra_backend_keys":{"k":1}}"#,
        "{}",
    ] {
        assert_eq!(read(json), Ok(Vbd::default()), "{json}");
    }
    assert_eq!(Vbd::default().id, vbd::Id::new("", ""));
    assert_eq!(read(r#"{"implementation":["GVT_g",{"low_gm_sz":1}]}"#), Ok(Vgpu::default()));
    assert_eq!(read(r#"{"firmware":"Ovmf"}"#), Ok(HvmInfo::default()));
    assert_eq!(read(r#"{"firmware":"Uefi"}"#), Ok(HvmInfo::default()));
    assert_eq!(read(r#"{"tpm":["Vtpm","not-a-uuid"]}"#), Ok(HvmInfo::default()));
    assert_eq!(read(r#"{"backend":["Foo","x"]}"#), Ok(Vif::default()));
}

#[test]
fn the_declared_defaults() {
    let vbd = Vbd::default();
    assert_eq!((vbd.mode, vbd.ty, vbd.unpluggable), (Mode::ReadWrite, vbd::Kind::Disk, true));
    assert_eq!((vbd.persistent, vbd.can_attach_early), (true, false));
    let vif = Vif::default();
    assert_eq!((vif.mac.as_str(), vif.carrier, vif.mtu), ("fe:ff:ff:ff:ff:ff", true, 1500));
    assert_eq!((vif.backend, vif.locking_mode), (Network::Local("xenbr0".into()), LockingMode::Unlocked));
    let hvm = HvmInfo::default();
    assert_eq!((hvm.hap, hvm.acpi, hvm.shadow_multiplier, hvm.video_mib), (true, true, 1.0, 4));
    assert_eq!((hvm.video, hvm.firmware), (VideoCard::Cirrus, Firmware::Bios));
    let nvidia = read::<Implementation>(r#"["Nvidia",{}]"#).unwrap();
    let eleven = pci::Address { dev: 11, ..Default::default() };
    assert!(matches!(nvidia, Implementation::Nvidia { virtual_pci_address, .. } if virtual_pci_address == eleven));
    let uefi = read::<Firmware>(r#"["Uefi",{}]"#).unwrap();
    assert!(matches!(uefi, Firmware::Uefi(uefi) if uefi.backend == "xapidb" && uefi.on_boot == OnBoot::Persist));
}

#[test]
fn variants() {
    good([(r#""readonly""#, Mode::ReadOnly), (r#"["READWRITE",null]"#, Mode::ReadWrite)]);
    bad::<Mode>([
        (r#""Foo""#, "Unknown tag 'foo'"),
        (r#"["ReadOnly",1]"#, "Expected unit, got 'I(1)'"),
        ("5", "Expecting String or Enum when unmarshalling a variant"),
        (r#"["ReadOnly"]"#, "Expecting String or Enum when unmarshalling a variant"),
        (r#"[1,2]"#, "Expecting String or Enum when unmarshalling a variant"),
    ]);
    good([(r#"["vdi","sr/vdi"]"#, Disk::Vdi("sr/vdi".into()))]);
    bad::<Disk>([(r#""Local""#, "Expected string, got 'N'"), (r#"["Local",5]"#, "Expected string, got 'I(5)'")]);
    bad::<PowerState>([(r#""Crashed""#, "Unknown tag 'crashed'")]);
    // A default of the type stands for an unknown tag, but not for a bad payload.
    good([(r#""Matrox""#, VideoCard::Cirrus), (r#"["IGD_passthrough","GVT_d"]"#, igd())]);
    bad::<VideoCard>([(r#"["IGD_passthrough","x"]"#, "Unknown tag 'x'")]);
    good([(r#"["From_the_future",[1,2]]"#, Error::UnknownError)]);
    bad::<Error>([(r#"["Invalid_vcpus","x"]"#, "Expected int, got string 'x'")]);
    good([("\"softREBOOT\"", Action::Softreboot)]);
    let fixed = Ipv4Configuration::Static(vec!["10.0.0.5/24".into()], Maybe(None));
    good([(r#"["Static4",[["10.0.0.5/24"],[]]]"#, fixed)]);
}

fn igd() -> VideoCard {
    VideoCard::IgdPassthrough(IgdPassthrough::GvtD)
}

#[test]
fn an_opaque_payload_that_is_null_collapses() {
    use crate::interface::task::State;
    let failed = State::Failed(Value::Null);
    assert_eq!(serde_json::to_string(&failed).unwrap(), r#""Failed""#);
    good([(r#""Failed""#, failed)]);
    let completed = State::Completed { duration: 0.5, result: Some(Value::Null) };
    assert_eq!(serde_json::to_string(&completed).unwrap(), r#"["Completed",{"duration":0.5,"result":null}]"#);
    good([(r#"["Completed",{"duration":0.5,"result":null}]"#, completed)]);
}
