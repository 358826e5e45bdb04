//! Random names.

/// Returns 128 random bits as 32 hexadecimal digits.
///
/// # Errors
/// If the operating system has no randomness.
pub fn name() -> Result<String, getrandom::Error> {
    let (high, low) = (getrandom::u64()?, getrandom::u64()?);
    Ok(format!("{high:016x}{low:016x}"))
}
