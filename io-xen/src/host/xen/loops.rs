//! Loop devices: whether a file is behind one.

use std::fs;
use std::path::Path;

/// Whether this file is behind a loop device, by whatever name. None is behind one that is free, or not there.
pub fn is_behind(file: &str, device: &str) -> bool {
    let name = device.strip_prefix("/dev/").filter(|name| !name.contains('/'));
    let behind = name.and_then(|name| fs::read_to_string(format!("/sys/block/{name}/loop/backing_file")).ok());
    behind.is_some_and(|behind| is_same(&behind, file))
}

/// Whether what the kernel says of a loop device, which names a file without links, means this one.
fn is_same(behind: &str, file: &str) -> bool {
    let behind = behind.trim_end_matches('\n');
    let behind = behind.strip_suffix(" (deleted)").unwrap_or(behind);
    behind == file || fs::canonicalize(file).is_ok_and(|file| file == Path::new(behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_file_is_known_by_all_of_its_names() {
        let scratch = Scratch::new("loops");
        let file = scratch.path().join("disk");
        let link = scratch.path().join("link");
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let [file, link] = [file, link].map(|path| path.to_str().unwrap().to_owned());
        assert!(is_same(&format!("{file}\n"), &file));
        assert!(is_same(&format!("{file}\n"), &link));
        assert!(is_same("/gone/disk (deleted)\n", "/gone/disk"));
        assert!(!is_same("/gone/other\n", &file));
        assert!(!is_behind(&file, "/dev/loop-none") && !is_behind(&file, "/dev/../loop0") && !is_behind(&file, ""));
    }
}
