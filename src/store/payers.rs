//! Payers below the tenant: there may be any number of them, so they are told by how much of their caps they have used.

use crate::id::TenantName;

/// Whose balances are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payers {
    /// Tenants' keys.
    Keys,
    /// Tenants' end users.
    Users,
}

impl Payers {
    /// The accounts from this text on, and before the other: as [`crate::budget::Account`] prints them.
    pub(super) fn range(self, tenant: Option<&TenantName>) -> (String, String) {
        let kind = match self {
            Self::Keys => "key",
            Self::Users => "user",
        };
        // `;` follows upon `:`, and `0` upon `/`.
        tenant.map_or_else(|| (format!("{kind}:"), format!("{kind};")), |tenant| (format!("{kind}:{tenant}/"), format!("{kind}:{tenant}0")))
    }
}
