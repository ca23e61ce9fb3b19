//! What a bucket with object lock answers, for the server of the tests, which knows no such thing.

use crate::s3_server::{HttpCall, HttpFault};

/// Until when all objects are kept.
pub const RETAIN_UNTIL: &str = "2099-01-01T00:00:00Z";

/// A bucket that keeps each object for 30 days, all of them until [`RETAIN_UNTIL`], and refuses to delete them as stores without
/// versions do: with the same answer that missing rights get.
pub fn locked(call: &HttpCall) -> HttpFault {
    match call.method.as_str() {
        "HEAD" => HttpFault::Header("x-amz-object-lock-retain-until-date", RETAIN_UNTIL),
        "DELETE" if call.exists => HttpFault::Status(403),
        _ => rules(call),
    }
}

/// A bucket with the same rules that keeps versions: what is deleted seems to be gone, and stays as an old version.
pub fn versioned(call: &HttpCall) -> HttpFault {
    match call.method.as_str() {
        "HEAD" => HttpFault::Header("x-amz-object-lock-retain-until-date", RETAIN_UNTIL),
        _ => rules(call),
    }
}

fn rules(call: &HttpCall) -> HttpFault {
    let asks_for =
        |what: &str| call.method == "GET" && call.target.split_once('?').is_some_and(|(_, query)| query == what);
    if asks_for("versioning") {
        return HttpFault::Content(
            200,
            "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
        );
    }
    if asks_for("object-lock") {
        return HttpFault::Content(
            200,
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
             <Mode>COMPLIANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>",
        );
    }
    HttpFault::None
}
