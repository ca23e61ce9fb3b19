//! What has to hold for any policy and any snapshots.

use super::*;
use proptest::prelude::*;

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let tags = prop::collection::vec("[ab]", 0..2);
    let one = (0..60_000_000_i64, tags).prop_map(|(second, tags)| Candidate {
        id: Id::random(),
        time: Timestamp::from_second(1_700_000_000 + second).unwrap(),
        tags,
    });
    prop::collection::vec(one, 1..40)
}

fn count() -> impl Strategy<Value = Count> {
    prop_oneof![3 => Just(Count::None), 3 => (1..8_u32).prop_map(Count::UpTo), 1 => Just(Count::Unlimited)]
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::default()),
        (0..2_u32, 0..14_u32, 0..40_u32, 0..50_u32).prop_map(|(years, months, days, hours)| {
            Duration {
                years,
                months,
                days,
                hours,
            }
        })
    ]
}

prop_compose! {
    fn policy()(last in count(), hourly in count(), daily in count(), weekly in count(), monthly in count(), yearly in count(),
                within in duration(), within_daily in duration(), within_monthly in duration()) -> Policy {
        Policy { last, hourly, daily, weekly, monthly, yearly, within, within_daily, within_monthly, ..Policy::default() }
    }
}

fn decide(policy: &Policy, snapshots: &[Candidate]) -> Vec<Decision> {
    let now = Timestamp::from_second(2_000_000_000).unwrap();
    apply(policy, snapshots, &TimeZone::get("America/New_York").unwrap(), now)
}

fn kept(decisions: &[Decision]) -> usize {
    decisions.iter().filter(|decision| decision.keep).count()
}

proptest! {
    #[test]
    fn every_snapshot_gets_one_decision_with_its_reasons(policy in policy(), snapshots in candidates()) {
        let decisions = decide(&policy, &snapshots);
        let mut ids: Vec<Id> = decisions.iter().map(|decision| decision.id).collect();
        let mut expected: Vec<Id> = snapshots.iter().map(|snapshot| snapshot.id).collect();
        ids.sort();
        expected.sort();
        prop_assert_eq!(ids, expected);
        prop_assert!(decisions.iter().all(|decision| decision.keep != decision.reasons.is_empty()));
    }

    #[test]
    fn the_newest_stays_whatever_is_asked_for(policy in policy(), snapshots in candidates()) {
        let newest = decide(&policy, &snapshots).swap_remove(0);
        prop_assert!(newest.keep);
    }

    #[test]
    fn numbers_are_kept_to(n in 1..20_u32, snapshots in candidates()) {
        let last = decide(&Policy { last: n.into(), ..Policy::default() }, &snapshots);
        prop_assert_eq!(kept(&last), snapshots.len().min(n as usize));
        prop_assert!(last.iter().take(n as usize).all(|decision| decision.keep));
        let daily = decide(&Policy { daily: n.into(), ..Policy::default() }, &snapshots);
        prop_assert!(kept(&daily) <= n as usize);
        let all = decide(&Policy { last: Count::Unlimited, ..Policy::default() }, &snapshots);
        prop_assert_eq!(kept(&all), snapshots.len());
    }

    #[test]
    fn asking_for_more_never_removes_more(policy in policy(), snapshots in candidates(), n in 1..30_u32, days in 1..500_u32) {
        let mut more = policy.clone();
        more.daily = match more.daily { Count::UpTo(m) => Count::UpTo(m + n), Count::None => Count::UpTo(n), all => all };
        more.within.days += days;
        let (few, many) = (decide(&policy, &snapshots), decide(&more, &snapshots));
        let lost = few.iter().zip(&many).any(|(few, many)| few.keep && !many.keep);
        prop_assert!(!lost || policy.is_empty());
    }
}

#[test]
fn snapshots_from_the_future_do_not_move_the_limit() {
    let candidate = |second| Candidate {
        id: Id::random(),
        time: Timestamp::from_second(second).unwrap(),
        tags: Vec::new(),
    };
    let day = 86_400;
    let snapshots = [
        candidate(3_000_000_000),
        candidate(1_900_000_000),
        candidate(1_900_000_000 - day / 2),
        candidate(1_900_000_000 - 2 * day),
    ];
    let policy = Policy {
        within: "1d".parse().unwrap(),
        ..Policy::default()
    };
    let keep: Vec<bool> = decide(&policy, &snapshots)
        .iter()
        .map(|decision| decision.keep)
        .collect();
    assert_eq!(keep, [true, true, true, false]);
}

#[test]
fn refuses_what_would_leave_nothing() {
    assert!(matches!(Policy::default().check(), Err(Error::Refused { .. })));
    let policy = Policy {
        tags: vec![vec!["none has it".into()]],
        ..Policy::default()
    };
    policy.check().unwrap();
    let snapshots = [Candidate {
        id: Id::random(),
        time: Timestamp::UNIX_EPOCH,
        tags: vec!["a".into()],
    }];
    let decisions = decide(&policy, &snapshots);
    let error = check_not_all_removed(&GroupKey::default(), &decisions).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the policy would remove every snapshot of the repository (1)"
    );
    check_not_all_removed(&GroupKey::default(), &decide(&Policy::default(), &snapshots)).unwrap();
    check_not_all_removed(&GroupKey::default(), &[]).unwrap();
}
