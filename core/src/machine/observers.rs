//! Tracing settings that clients make. They are kept and shown in the diagnostics; no spans are exported.

use crate::interface::{Call, Error, Pairs};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Observers by UUID, and the settings common to all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Observers {
    pub(crate) observers: BTreeMap<String, Observer>,
    pub(crate) settings: BTreeMap<Cow<'static, str>, String>,
}

/// One observer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Observer {
    pub(crate) name: String,
    pub(crate) attributes: Pairs,
    pub(crate) endpoints: Vec<String>,
    pub(crate) enabled: bool,
}

/// Observers kept at most.
const MOST: usize = 256;

impl Observers {
    /// Carry out an `Observer.*` call; `None` if it is another.
    pub(crate) fn call(&mut self, call: &Call) -> Option<Result<(), Error>> {
        let setting = match call {
            Call::ObserverCreate { uuid, name_label, dict, endpoints, bool } => {
                if self.observers.len() >= MOST && !self.observers.contains_key(uuid) {
                    return Some(Err(Error::InternalError(format!("more than {MOST} observers"))));
                }
                let observer = Observer {
                    name: name_label.clone(),
                    attributes: dict.clone(),
                    endpoints: endpoints.clone(),
                    enabled: *bool,
                };
                self.observers.insert(uuid.clone(), observer);
                return Some(Ok(()));
            }
            Call::ObserverDestroy { uuid } => {
                self.observers.remove(uuid);
                return Some(Ok(()));
            }
            Call::ObserverSetEnabled { uuid, bool } => return Some(self.change(uuid, |o| o.enabled = *bool)),
            Call::ObserverSetAttributes { uuid, dict } => {
                return Some(self.change(uuid, |o| o.attributes = dict.clone()));
            }
            Call::ObserverSetEndpoints { uuid, endpoints } => {
                return Some(self.change(uuid, |o| o.endpoints.clone_from(endpoints)));
            }
            Call::ObserverInit => return Some(Ok(())),
            Call::ObserverSetTraceLogDir { string } => ("trace_log_dir", string.clone()),
            Call::ObserverSetHostId { string } => ("host_id", string.clone()),
            Call::ObserverSetExportInterval { float } => ("export_interval", float.to_string()),
            Call::ObserverSetExportChunkSize { int } => ("export_chunk_size", int.to_string()),
            Call::ObserverSetMaxSpans { int } => ("max_spans", int.to_string()),
            Call::ObserverSetMaxTraces { int } => ("max_traces", int.to_string()),
            Call::ObserverSetMaxDepth { int } => ("max_depth", int.to_string()),
            Call::ObserverSetMaxFileSize { int } => ("max_file_size", int.to_string()),
            Call::ObserverSetCompressTracingFiles { bool } => ("compress_tracing_files", bool.to_string()),
            _ => return None,
        };
        self.settings.insert(setting.0.into(), setting.1);
        Some(Ok(()))
    }

    fn change(&mut self, uuid: &str, how: impl FnOnce(&mut Observer)) -> Result<(), Error> {
        match self.observers.get_mut(uuid) {
            Some(observer) => {
                how(observer);
                Ok(())
            }
            // Upstream's observers have no error for this; a setting for one that is not there has no effect.
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_kept_under_its_name() {
        let calls = [
            (Call::ObserverSetTraceLogDir { string: "/tmp".to_owned() }, "trace_log_dir", "/tmp"),
            (Call::ObserverSetHostId { string: "host".to_owned() }, "host_id", "host"),
            (Call::ObserverSetExportInterval { float: 1.5 }, "export_interval", "1.5"),
            (Call::ObserverSetExportChunkSize { int: 2 }, "export_chunk_size", "2"),
            (Call::ObserverSetMaxSpans { int: 3 }, "max_spans", "3"),
            (Call::ObserverSetMaxTraces { int: 4 }, "max_traces", "4"),
            (Call::ObserverSetMaxDepth { int: 5 }, "max_depth", "5"),
            (Call::ObserverSetMaxFileSize { int: 6 }, "max_file_size", "6"),
            (Call::ObserverSetCompressTracingFiles { bool: true }, "compress_tracing_files", "true"),
        ];
        let mut observers = Observers::default();
        for (call, name, value) in calls {
            assert_eq!(observers.call(&call), Some(Ok(())), "{name}");
            assert_eq!(observers.settings.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert_eq!(observers.settings.len(), 9);
        assert_eq!(observers.call(&Call::VmList), None, "no call about observers");
    }
}
