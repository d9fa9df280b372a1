//! No host to drive: what was looked for, and what to do instead.

use crate::failure::Failure;
use std::fs;
use std::path::Path;

/// Why this daemon cannot drive the host that it runs on, if it cannot.
pub fn check() -> Result<(), Failure> {
    check_under(Path::new("/"))
}

fn check_under(root: &Path) -> Result<(), Failure> {
    let hypervisor = fs::read_to_string(root.join("sys/hypervisor/type")).is_ok_and(|kind| kind.trim() == "xen");
    let capabilities = fs::read_to_string(root.join("proc/xen/capabilities"));
    let simulated = "to try it out, start xenopsd --host simulated";
    let device = root.join("dev/xen/privcmd").exists();
    if !hypervisor && capabilities.is_err() && !device {
        return Err(Failure::new(format!(
            "no Xen here: /sys/hypervisor/type does not say xen, and there is neither /proc/xen/capabilities nor \
             /dev/xen/privcmd; boot the host under Xen and start xenopsd in its control domain; {simulated}"
        )));
    }
    if !device && !capabilities.is_ok_and(|text| text.contains("control_d")) {
        return Err(Failure::new(format!(
            "this is a guest of Xen, not its control domain: /proc/xen/capabilities does not say control_d, and there \
             is no /dev/xen/privcmd; start xenopsd in the control domain; {simulated}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn each_place_has_its_text_and_all_name_the_simulated_host() {
        for (files, begins) in [
            (&[][..], Some("no Xen here")),
            (&[("sys/hypervisor/type", "kvm\n")], Some("no Xen here")),
            (&[("sys/hypervisor/type", "xen\n")], Some("this is a guest of Xen")),
            (&[("sys/hypervisor/type", "xen\n"), ("proc/xen/capabilities", "")], Some("this is a guest of Xen")),
            (&[("proc/xen/capabilities", "control_d\n")], None),
            (&[("sys/hypervisor/type", "xen\n"), ("dev/xen/privcmd", "")], None),
        ] {
            let scratch = Scratch::new("absent");
            for (path, text) in files {
                let path = scratch.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            let text = check_under(scratch.path()).err().map(|failure| failure.text);
            let fits = match (&text, begins) {
                (Some(text), Some(begins)) => text.starts_with(begins) && text.ends_with("--host simulated"),
                (text, begins) => text.is_none() && begins.is_none(),
            };
            assert!(fits, "{files:?}: {text:?}");
        }
    }
}
