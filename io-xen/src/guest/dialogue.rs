//! The dialogue with the daemon: what is said before, during and after the work.

use super::arguments::{Build, Orders, Ports, Work};
use super::voice::{Voice, Words};
use super::{Rings, StepError};
use crate::xen::errno::EINVAL;

/// Who does the work.
pub trait Library {
    /// Builds a guest.
    fn build(&mut self, domid: u32, build: &Build) -> Result<Rings, StepError>;
    /// Writes a guest's state to the stream; `suspend` has it suspend, once, and says whether it has.
    fn save(&mut self, domid: u32, suspend: &mut dyn FnMut() -> bool) -> Result<(), StepError>;
    /// Reads a guest's state from the stream.
    fn restore(&mut self, domid: u32, ports: Ports, hardware: bool) -> Result<Rings, StepError>;
}

/// Does the work; the last line to say, and whether the work was done.
pub fn run(orders: &Orders, library: &mut dyn Library, voice: &Voice, words: &Words) -> (String, bool) {
    match work(orders, library, voice, words) {
        Ok(line) => (line, true),
        Err(error) => (format!("error:{error}"), false),
    }
}

fn work(orders: &Orders, library: &mut dyn Library, voice: &Voice, words: &Words) -> Result<String, StepError> {
    let Orders { domid, work } = orders;
    let told = |word: &str| words.wait(word).map_err(|text| StepError { step: work.step(), errno: EINVAL, text });
    match work {
        Work::Build(build) => {
            let Rings { store, console } = library.build(*domid, build)?;
            Ok(format!("result:{store} {console}"))
        }
        Work::Save { .. } => {
            voice.say("prepare:xenguest");
            told("done")?;
            let mut unheard = None;
            let mut suspend = || {
                voice.say("suspend:");
                unheard = told("done").err();
                unheard.is_none()
            };
            let saved = library.save(*domid, &mut suspend);
            // The library only knows that it was told no.
            unheard.map_or(saved, Err)?;
            Ok("result:".to_owned())
        }
        Work::Restore { ports, hardware, .. } => {
            told("restore:xenguest")?;
            let Rings { store, console } = library.restore(*domid, *ports, *hardware)?;
            Ok(format!("result:xenguest {store} {console}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::arguments::Kind;
    use super::super::voice::listen;
    use super::*;
    use std::io::{Read, Write, pipe};

    struct Fake(Option<StepError>);

    impl Fake {
        fn end<T>(&self, well: T) -> Result<T, StepError> {
            self.0.clone().map_or(Ok(well), Err)
        }
    }

    impl Library for Fake {
        fn build(&mut self, _: u32, _: &Build) -> Result<Rings, StepError> {
            self.end(Rings { store: 7, console: 8 })
        }
        fn save(&mut self, _: u32, suspend: &mut dyn FnMut() -> bool) -> Result<(), StepError> {
            match suspend() {
                true => self.end(()),
                false => Err(StepError { step: "xc_domain_save", errno: 0, text: "no suspend".into() }),
            }
        }
        fn restore(&mut self, _: u32, ports: Ports, _: bool) -> Result<Rings, StepError> {
            self.end(Rings { store: u64::from(ports.store), console: 8 })
        }
    }

    fn dialogue(work: Work, told: &str, failure: Option<&str>) -> String {
        let (reader, mut writer) = pipe().unwrap();
        let (mut heard, output) = pipe().unwrap();
        let voice = Voice::new(output);
        writer.write_all(told.as_bytes()).unwrap();
        drop(writer);
        let words = listen(reader, |_| {});
        let failure = failure.map(|text| StepError { step: "xc_domain_save", errno: 28, text: text.into() });
        let (last, well) = run(&Orders { domid: 3, work }, &mut Fake(failure), &voice, &words);
        assert_eq!(well, last.starts_with("result:"));
        voice.end(&last);
        let mut text = String::new();
        heard.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn each_work_has_its_lines() {
        let ports = Ports { store: 7, console: 5 };
        let build = Work::Build(Build {
            kind: Kind::Pv,
            image: "/k".into(),
            cmdline: String::new(),
            modules: Vec::new(),
            features: String::new(),
            ports,
            max_mib: 1,
            start_mib: 1,
        });
        let save = Work::Save { stream: 9 };
        let restore = Work::Restore { stream: 9, ports, hardware: true };
        let table = [
            (build.clone(), "", None, "result:7 8\n"),
            (build, "", Some("bad"), "error:xc_domain_save 28 bad\n"),
            (save.clone(), "done\ndone\n", None, "prepare:xenguest\nsuspend:\nresult:\n"),
            (save.clone(), "done\ndone\n", Some("full"), "prepare:xenguest\nsuspend:\nerror:xc_domain_save 28 full\n"),
            (save.clone(), "", None, "prepare:xenguest\nerror:xc_domain_save 22 not told done\n"),
            (save, "done\nno\n", None, "prepare:xenguest\nsuspend:\nerror:xc_domain_save 22 told no, not done\n"),
            (restore.clone(), "restore:xenguest\n", None, "result:xenguest 7 8\n"),
            (restore, "done\n", None, "error:xc_domain_restore 22 told done, not restore:xenguest\n"),
        ];
        for (work, told, failure, expected) in table {
            assert_eq!(dialogue(work.clone(), told, failure), expected, "{work:?} {told:?}");
        }
    }
}
