//! The oracle's rules in words, for somebody who has never seen them.

/// What a rule says and why it matters; nothing for one that says it itself.
pub(super) fn told(rule: &str) -> &'static str {
    match rule {
        "S1" => "No VM ever has two domains: both would believe that its disks are theirs.",
        "S2" => "No VM ever runs twice: two guests that write to one disk destroy what is on it.",
        "S3" => {
            "What no daemon can undo never happens: a guest that runs on from a state in which it ran before, a disk \
             that is reset while it is in use, a device taken from somebody else."
        }
        "S4" => "Domains that are not the daemon's are never touched.",
        "S5" => "A client is never shown a domain that is not its VM's.",
        "S10" => "A disk that is written to is attached for one VM only.",
        "S13" => "What tells of an image is written when the image is complete, not before.",
        "S15" => "The memory of all domains, and what is free, add up to what the host has.",
        "S18" => "What a client is shown is so: a VM is listed in the state in which it is.",
        "S19" => {
            "A domain of ours has its records on disk as long as it lives: otherwise nobody would know whose it is."
        }
        "S20" => "A VM reads as suspended just when it has a complete image, which may be resumed once.",
        "S21" => "A device has a record only while its VM has one.",
        "S22" => "Each record names what it is of.",
        "S24" => "Each record can be read, whenever the daemon is killed.",
        "S25" => "A VM is let run only when a client wants it to run, and never before its start is complete.",
        "S26" => "A VM is started only when a client asks, or when its configuration says so.",
        "S27" => "A guest that stops soon after its start is not started again at once, for ever.",
        "S28" => "When a client hears that its VM was shut down, the VM has no domain any more.",
        "S29" => "A task ends once, and stays ended.",
        "S31" => "A task that has passed its point of no return is not cancelled.",
        "S32" => "A client that follows events misses no change.",
        "S33" => "Whoever hears that an operation went well also hears that its VM has changed.",
        "L1" => "Every task ends.",
        "L3" => "When nothing goes wrong any more, all comes to rest.",
        "L4" => {
            "At rest, each VM is in a sensible state: off, running, paused, or suspended with a complete image; \
                 nothing is half done, and nothing waits to be repaired. An operation that fails before its point of \
                 no return does not cost a running VM its domain."
        }
        "L5" => {
            "A VM that ran well, and of which nobody wanted anything, is not disturbed: not by a crash of the daemon \
                 either."
        }
        "L9" => {
            "Nothing is left behind: memory, disks, network interfaces and processes go with the domain that they \
                 belonged to."
        }
        "H42" => {
            "A guest that has said that it will suspend does so in its own time, even if nobody waits for it any more; \
                 then it is let run on, and not lost."
        }
        "H5" => "No record says of a VM without domain and without image that it runs or is suspended.",
        "H6" => "A VM that is off has no device that counts as plugged.",
        "H12" => "A VM that is renamed goes by one name at a time.",
        "law 1" => "The same inputs have the same effects, in every process and in every build of one commit.",
        "law 6" => "What is asked of one VM is done in the order in which it was asked.",
        "calls" => "Each call is answered once, with what it asks for.",
        "machine" => "The daemon's own checks of itself hold.",
        "world" => "The simulated host keeps its own rules.",
        _ => "",
    }
}
