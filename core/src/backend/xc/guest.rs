//! What kind of guest a plan is about, and what its platform flags say.

use crate::backend::{Context, Failure};
use crate::host::{DomId, Flavour};
use crate::interface::vm::BuilderInfo;
use crate::interface::{Error, Pairs, Vbd, Vif, VmExtra};
use std::sync::Arc;

/// The type that was booted; the row's where nothing was.
pub(super) fn kind(context: &Context) -> &BuilderInfo {
    context.extra.as_deref().and_then(|extra| extra.ty.as_ref()).unwrap_or(&context.vm.ty)
}

/// Whether it is fully virtualised, with a device model of its own.
pub(super) fn is_hvm(context: &Context) -> bool {
    matches!(kind(context), BuilderInfo::Hvm(_))
}

/// The container that a type runs in.
pub(super) fn flavour(kind: &BuilderInfo) -> Flavour {
    match kind {
        BuilderInfo::Hvm(_) => Flavour::Hvm,
        BuilderInfo::Pv(_) => Flavour::Pv,
        BuilderInfo::PvInPvh(_) | BuilderInfo::Pvh(_) => Flavour::Pvh,
    }
}

/// The VM's domain.
pub(super) fn domid(context: &Context) -> Result<DomId, Failure> {
    context.domid.ok_or_else(|| Error::does_not_exist("domain", &*context.text).into())
}

/// The VM's run-time record.
pub(super) fn extra(context: &Context) -> Result<&Arc<VmExtra>, Failure> {
    context.extra.as_ref().ok_or_else(|| Error::does_not_exist("extra", &*context.text).into())
}

/// A disk's row.
pub(super) fn vbd<'a>(context: &'a Context, device: &str) -> Result<&'a Arc<Vbd>, Failure> {
    let missing = || Error::does_not_exist("VM", format!("{}/vbd.{device}", context.text)).into();
    context.vbd(device).ok_or_else(missing)
}

/// A network interface's row.
pub(super) fn vif<'a>(context: &'a Context, device: &str) -> Result<&'a Arc<Vif>, Failure> {
    let missing = || Error::does_not_exist("VM", format!("{}/vif.{device}", context.text)).into();
    context.vif(device).ok_or_else(missing)
}

/// A platform flag; one that is no boolean is an error.
pub(super) fn flag(platform: &Pairs, key: &str, default: bool) -> Result<bool, Error> {
    match platform.get(key).map(String::as_str) {
        None => Ok(default),
        Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(Error::InternalError(format!("platform flag {key} is no boolean: {other}"))),
    }
}

/// A platform number; one that is no number is an error.
pub(super) fn number(platform: &Pairs, key: &str) -> Result<Option<u32>, Error> {
    let refuse = |text: &String| Error::InternalError(format!("platform flag {key} is no number: {text}"));
    platform.get(key).map(|text| text.parse().map_err(|_| refuse(text))).transpose()
}
