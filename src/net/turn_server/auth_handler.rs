//! Whom to ask for users.

use async_trait::async_trait;

use crate::turn::server::{Grant, Question};

/// Knows users that the server's own [`Credentials`](crate::turn::server::Credentials) do not, such as those of a
/// database.
///
/// The trait is one of [`async_trait`](crate::async_trait), and so is what implements it:
///
/// ```
/// use kaon_rtc::async_trait;
/// use kaon_rtc::net::AuthHandler;
/// use kaon_rtc::turn::server::{Grant, Question};
///
/// struct Guests;
///
/// #[async_trait]
/// impl AuthHandler for Guests {
///     async fn authenticate(&self, question: Question) -> Option<Grant> {
///         // All guests share one quota.
///         question.username.starts_with("guest").then(|| Grant::password("guests", "welcome"))
///     }
/// }
/// ```
#[async_trait]
pub trait AuthHandler: Send + Sync {
    /// The password or the key of a user; `None` if there is no such user. An answer that takes longer than half a
    /// minute is not waited for.
    async fn authenticate(&self, question: Question) -> Option<Grant>;
}
