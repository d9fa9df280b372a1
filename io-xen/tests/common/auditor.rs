//! Questions to the oracle of a simulated host in a process of its own.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use xenops_core::host::Uuid;
use xenops_io_xen::host::audit::{Finding, Question, socket};
use xenops_io_xen::host::frames::Frames;

/// A connection to a host's oracle.
pub struct Auditor {
    frames: Frames<UnixStream>,
}

impl Auditor {
    /// Has these VMs watched on the host in this directory.
    pub fn watch(directory: &Path, vms: Vec<Uuid>, seed: u64) -> Auditor {
        let stream = UnixStream::connect(socket(directory)).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut auditor = Auditor { frames: Frames::new(stream) };
        let Finding { broken, .. } = auditor.ask(&Question::Watch(vms, seed));
        assert_eq!(broken, None);
        auditor
    }

    /// Whether the host is at rest. No rule was broken until now.
    pub fn at_rest(&mut self) -> bool {
        let Finding { at_rest, broken } = self.ask(&Question::Look);
        assert_eq!(broken, None, "a rule was broken");
        at_rest
    }

    /// What is wrong with the host at rest, given these records.
    pub fn judge(&mut self, records: BTreeMap<String, String>) -> Option<String> {
        self.ask(&Question::Judge(records)).broken
    }

    /// What is left on the host of what was done since the watch began.
    pub fn compare(&mut self) -> Option<String> {
        self.ask(&Question::Compare).broken
    }

    fn ask(&mut self, question: &Question) -> Finding {
        self.frames.say(question);
        let mut finding = None;
        super::eventually("the host's oracle answers", || {
            self.frames.send().unwrap();
            self.frames.receive().unwrap();
            finding = self.frames.hear().unwrap();
            std::thread::sleep(Duration::from_millis(1));
            finding.is_some()
        });
        finding.unwrap()
    }
}
