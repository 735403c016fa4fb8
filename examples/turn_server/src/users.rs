//! Files of users.

use std::path::Path;

use kaon_rtc::stun::LongTermKey;
use kaon_rtc::turn::server::Credentials;

/// A name and the password behind the first colon.
pub fn parse_user(text: &str) -> Result<(&str, &str), String> {
    match text.split_once(':') {
        Some((name, password)) if !name.is_empty() && !password.is_empty() => Ok((name, password)),
        _ => Err("expected NAME:PASSWORD".to_owned()),
    }
}

/// Adds the users of a file: one a line, comments behind `#` at its beginning. Errors name the line and not what is in
/// it.
pub fn read(file: &Path, mut credentials: Credentials) -> Result<Credentials, String> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let error = |what: String| format!("{}, line {}: {what}", file.display(), number + 1);
        let (name, password) = parse_user(line).map_err(error)?;
        credentials = match password.strip_prefix("0x") {
            Some(digits) => {
                let key =
                    parse_key(digits).ok_or_else(|| error("a key has 32 hexadecimal digits".to_owned()))?;
                credentials.with_key(name, LongTermKey::from_bytes(&key))
            }
            None => credentials.with_user(name, password),
        };
    }
    Ok(credentials)
}

fn parse_key(digits: &str) -> Option<[u8; 16]> {
    let mut key = [0; 16];
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, place) in key.iter_mut().zip((0..32).step_by(2)) {
        *byte = u8::from_str_radix(digits.get(place..place + 2)?, 16).ok()?;
    }
    Some(key)
}
