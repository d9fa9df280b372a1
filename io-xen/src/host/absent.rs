//! No host to drive: what was looked for, and what to do instead.

use crate::failure::Failure;
use std::fs;
use std::path::Path;

/// Why this daemon cannot drive the host that it runs on.
pub fn refuse() -> Failure {
    refuse_under(Path::new("/"))
}

fn refuse_under(root: &Path) -> Failure {
    let hypervisor = fs::read_to_string(root.join("sys/hypervisor/type")).is_ok_and(|kind| kind.trim() == "xen");
    let capabilities = fs::read_to_string(root.join("proc/xen/capabilities"));
    let simulated = "to try it out, start xenopsd --host simulated";
    let device = root.join("dev/xen/privcmd").exists();
    if !hypervisor && capabilities.is_err() && !device {
        return Failure::new(format!(
            "no Xen here: /sys/hypervisor/type does not say xen, and there is neither /proc/xen/capabilities nor \
             /dev/xen/privcmd; boot the host under Xen and start xenopsd in its control domain; {simulated}"
        ));
    }
    if !device && !capabilities.is_ok_and(|text| text.contains("control_d")) {
        return Failure::new(format!(
            "this is a guest of Xen, not its control domain: /proc/xen/capabilities does not say control_d, and there \
             is no /dev/xen/privcmd; start xenopsd in the control domain; {simulated}"
        ));
    }
    Failure::new(format!("Xen is here, but driving a real Xen host is not in this version yet; {simulated}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn each_place_has_its_text_and_all_name_the_simulated_host() {
        for (files, begins) in [
            (&[][..], "no Xen here"),
            (&[("sys/hypervisor/type", "kvm\n")], "no Xen here"),
            (&[("sys/hypervisor/type", "xen\n")], "this is a guest of Xen"),
            (&[("sys/hypervisor/type", "xen\n"), ("proc/xen/capabilities", "")], "this is a guest of Xen"),
            (&[("proc/xen/capabilities", "control_d\n")], "Xen is here"),
            (&[("sys/hypervisor/type", "xen\n"), ("dev/xen/privcmd", "")], "Xen is here"),
        ] {
            let scratch = Scratch::new("absent");
            for (path, text) in files {
                let path = scratch.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            let text = refuse_under(scratch.path()).text;
            assert!(text.starts_with(begins) && text.ends_with("--host simulated"), "{files:?}: {text}");
        }
    }
}
