//! `/proc/cpuinfo`, as far as it describes the first processor.

use std::collections::HashMap;

/// Where a host keeps what it was when it booted, before dom0 lost some of its processors; and where Linux tells.
const FILES: [&str; 2] = ["/etc/xensource/boot_time_cpus", "/proc/cpuinfo"];

/// Names and values.
#[derive(Debug, Default)]
pub(super) struct CpuText(HashMap<String, String>);

/// The first of the files that is there.
pub(super) fn read() -> CpuText {
    let text = FILES.iter().find_map(|path| std::fs::read_to_string(path).ok());
    text.map(|text| CpuText::parse(&text)).unwrap_or_default()
}

impl CpuText {
    /// Reads the first processor's paragraph.
    pub(super) fn parse(text: &str) -> CpuText {
        let lines = text.lines().take_while(|line| !line.trim().is_empty());
        let pairs = lines.filter_map(|line| line.split_once(':'));
        CpuText(pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect())
    }

    /// A value, `unknown` if it is not told.
    pub(super) fn get(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_else(|| "unknown".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_processor_is_read() {
        let text =
            CpuText::parse("processor\t: 0\nflags\t\t: fpu vme\nmodel name : A: B\n\nprocessor\t: 1\nmodel : 2\n");
        assert_eq!(text.get("flags"), "fpu vme");
        assert_eq!(text.get("model name"), "A: B");
        assert_eq!(text.get("model"), "unknown");
    }
}
