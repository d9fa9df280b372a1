//! What has changed.

use xenops_core::interface::dynamic::Id;

/// A line for a change, with the number to ask from next: upstream's.
pub fn line(next: i64, id: &Id) -> String {
    let what = match id {
        Id::Vm(id) => format!("VM {id}"),
        Id::Vbd(id) => format!("VBD {id}"),
        Id::Vif(id) => format!("VIF {id}"),
        Id::Pci(id) => format!("PCI {id}"),
        Id::Vgpu(id) => format!("VGPU {id}"),
        Id::Vusb(id) => format!("VUSB {id}"),
        Id::Task(id) => format!("Task {id}"),
    };
    format!("{next:<8} {what}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenops_core::interface::DeviceId;

    #[test]
    fn lines_are_upstreams() {
        let device = || DeviceId::new("v", "xvda");
        for (id, text) in [
            (Id::Vm("v".into()), "12       VM v\n"),
            (Id::Vbd(device()), "12       VBD v.xvda\n"),
            (Id::Vif(device()), "12       VIF v.xvda\n"),
            (Id::Pci(device()), "12       PCI v.xvda\n"),
            (Id::Vgpu(device()), "12       VGPU v.xvda\n"),
            (Id::Vusb(device()), "12       VUSB v.xvda\n"),
            (Id::Task("7".into()), "12       Task 7\n"),
        ] {
            assert_eq!(line(12, &id), text);
        }
    }
}
