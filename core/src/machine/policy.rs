//! CPU policies: dash-separated words of 8 hexadecimal digits.

/// The words of a policy; those that do not parse are an error naming the policy.
fn words(policy: &str) -> Result<Vec<u32>, String> {
    let word = |text: &str| u32::from_str_radix(text, 16).map_err(|_| format!("{policy:?} is not a cpu policy"));
    policy.split('-').filter(|text| !text.is_empty()).map(word).collect()
}

/// What both policies have. Shorter ones count as padded with zeros.
pub(crate) fn combine(one: &str, other: &str) -> Result<String, String> {
    let (one, other) = (words(one)?, words(other)?);
    let length = one.len().max(other.len());
    let at = |policy: &[u32], i: usize| policy.get(i).copied().unwrap_or(0);
    let both: Vec<_> = (0..length).map(|i| format!("{:08x}", at(&one, i) & at(&other, i))).collect();
    Ok(both.join("-"))
}

/// Whether a VM's policy asks for nothing that the host's lacks.
pub(crate) fn fits(vm: &str, host: &str) -> Result<bool, String> {
    let (vm, host) = (words(vm)?, words(host)?);
    Ok(vm.iter().enumerate().all(|(i, word)| word & !host.get(i).copied().unwrap_or(0) == 0))
}

/// A policy padded with zeros to the length of another.
pub(crate) fn extend(policy: &str, like: &str) -> String {
    let missing = like.split('-').count().saturating_sub(policy.split('-').count());
    policy.to_owned() + &"-00000000".repeat(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_sets_of_bits() {
        assert_eq!(combine("1f8bfbff-f7fa3223", "1f8bfbff-f7fa3203").unwrap(), "1f8bfbff-f7fa3203");
        assert_eq!(combine("ff", "0000000f-ffffffff").unwrap(), "0000000f-00000000");
        assert!(fits("00000001", "00000003-00000001").unwrap());
        assert!(!fits("00000003-00000001", "00000003").unwrap());
        assert!(combine("zz", "1").is_err());
        assert_eq!(extend("00000001", "00000003-00000001"), "00000001-00000000");
    }
}
