//! Device codes: 15 minutes, asked for at an interval, one use (facts D.6, D.11, RFC 8628).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::client::App;
use super::clock::Moment;
use super::random::{RandomError, opaque, user_code};
use super::refusal::{Kind, Refusal};
use super::scope::Scope;
use super::shelf::Shelf;
use super::sign_in::{SignIn, of_another_client};
use super::users::User;

const DEVICES_MAX: usize = 1_000;
pub(super) const LIFETIME: Duration = Duration::from_mins(15);
/// What `slow_down` adds (RFC 8628 section 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// Devices that wait for somebody to sign in elsewhere.
pub(in crate::sandbox) struct Devices {
    waiting: Mutex<Shelf<Device>>,
}

struct Device {
    app: App,
    scope: Scope,
    user_code: String,
    expires: Moment,
    interval: Duration,
    /// Asked before this is asked too often.
    next_poll: Option<Moment>,
    state: State,
}

enum State {
    Pending,
    Approved(User),
    Declined,
    Redeemed,
}

/// The two codes of a device.
#[derive(Debug)]
pub(super) struct Codes {
    pub(super) device_code: String,
    pub(super) user_code: String,
}

impl Devices {
    pub(in crate::sandbox) fn new() -> Self {
        Self {
            waiting: Mutex::new(Shelf::new(DEVICES_MAX)),
        }
    }

    pub(super) fn start(
        &self,
        app: App,
        scope: Scope,
        interval: Duration,
        now: Moment,
    ) -> Result<Codes, RandomError> {
        let codes = Codes {
            device_code: opaque::<150>()?,
            user_code: user_code()?,
        };
        let device = Device {
            app,
            scope,
            user_code: codes.user_code.clone(),
            expires: now.after(LIFETIME),
            interval,
            next_poll: None,
            state: State::Pending,
        };
        self.lock().insert(codes.device_code.clone(), device);
        Ok(codes)
    }

    /// Whether the person's code is one that waits.
    pub(super) fn check(&self, user_code: &str, now: Moment) -> Result<(), Refusal> {
        self.settle(user_code, now, |_| {})
    }

    /// The person signed in, or did not want to.
    pub(super) fn answer(
        &self,
        user_code: &str,
        user: Option<User>,
        now: Moment,
    ) -> Result<(), Refusal> {
        self.settle(user_code, now, |state| {
            *state = user.map_or(State::Declined, State::Approved);
        })
    }

    fn settle(
        &self,
        user_code: &str,
        now: Moment,
        settle: impl FnOnce(&mut State),
    ) -> Result<(), Refusal> {
        let user_code = user_code.trim();
        let mut waiting = self.lock();
        let device = waiting
            .values_mut()
            .find(|device| device.user_code.eq_ignore_ascii_case(user_code));
        match device {
            Some(device) if device.expires <= now => Err(expired()),
            Some(device) if matches!(device.state, State::Pending) => {
                settle(&mut device.state);
                Ok(())
            }
            _ => Err(unknown()),
        }
    }

    /// One question of the device: who signed in?
    pub(super) fn poll(&self, device_code: &str, app: App, now: Moment) -> Result<SignIn, Refusal> {
        let mut waiting = self.lock();
        let Some(device) = waiting.get_mut(device_code) else {
            return Err(unknown());
        };
        if device.app != app {
            return Err(of_another_client());
        }
        if device.next_poll.is_some_and(|next| now < next) {
            device.interval += SLOW_DOWN;
            device.next_poll = Some(now.after(device.interval));
            let text = "OAuth 2.0 device flow error. The client polls too often. Continue polling at a longer interval.";
            return Err(Refusal::new(Kind::SlowDown, 70_016, text));
        }
        device.next_poll = Some(now.after(device.interval));
        match &device.state {
            State::Redeemed => {
                let text = "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use \
                            an existing refresh token.";
                Err(Refusal::grant(54_005, text))
            }
            _ if device.expires <= now => Err(expired()),
            State::Pending => {
                let text =
                    "OAuth 2.0 device flow error. Authorization is pending. Continue polling.";
                Err(Refusal::new(Kind::AuthorizationPending, 70_016, text))
            }
            State::Declined => {
                let text = "User declined to consent to access the app.";
                Err(Refusal::new(Kind::AuthorizationDeclined, 65_004, text))
            }
            State::Approved(user) => {
                let sign_in = SignIn {
                    app,
                    user: user.clone(),
                    scope: device.scope.clone(),
                    nonce: None,
                };
                device.state = State::Redeemed;
                Ok(sign_in)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf<Device>> {
        // At worst a device is forgotten: a panic elsewhere leaves nothing dangerous half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown() -> Refusal {
    let text = "Invalid verification code due to User typing in wrong user code for device code flow. Authorization \
                is not approved.";
    Refusal::new(Kind::BadVerificationCode, 70_018, text)
}

/// Facts F name 70019 for this; what the service sends is 70020.
fn expired() -> Refusal {
    let text = "The provided value for the input parameter 'device_code' is not valid. This device code has expired.";
    Refusal::new(Kind::ExpiredToken, 70_020, text)
}
