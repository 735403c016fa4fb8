//! Permissions, RFC 8656 §9.

use std::time::Duration;

/// How long a permission lasts unless it is created again; a channel that is bound renews it, too (RFC 8656 §9).
pub const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
