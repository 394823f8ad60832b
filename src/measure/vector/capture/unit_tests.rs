use super::record::{Record, is_whole};
use super::reservoir::choose;
use crate::facts::vector::Element;

fn record() -> Record {
    Record {
        at: 812_345_678_901_234,
        relation: 16_384,
        index: 16_400,
        key: "(\"Größe\")::public.halfvec(3)".to_string(),
        operator: "<=>".to_string(),
        vector_type: 16_385,
        vector: (0..=255).collect(),
        k: Some(10),
        rows: None,
        k_short: true,
        joined: false,
        filter: Some("(tenant = 'é')".to_string()),
        filter_columns: vec![1, 3, 300],
        ef_search: Some(40),
        probes: None,
        iterative_scan: Some("off".to_string()),
        ms: 1.25,
        query_id: -5,
        role: 10,
    }
}

#[test]
fn records_come_out_as_they_went_in() {
    for record in [record(), Record::default()] {
        let encoded = record.encode();
        assert_eq!(Record::decode(&encoded), Some(record));
        for length in 0..encoded.len() {
            assert_eq!(Record::decode(&encoded[..length]), None, "cut at {length}");
        }
    }
}

#[test]
fn values_are_as_long_as_they_say() {
    let value = |header: &[u8], bytes: usize| [&[0; 4], header, &vec![1; bytes]].concat();
    for (element, value) in [
        (Element::Vector, value(&[3, 0, 0, 0], 12)),
        (Element::Halfvec, value(&[3, 0, 0, 0], 6)),
        (Element::Bit, value(&[9, 0, 0, 0], 2)),
        (Element::Sparsevec, value(&[9, 9, 9, 9, 2, 0, 0, 0, 0, 0, 0, 0], 16)),
    ] {
        assert!(is_whole(element, &value), "{element:?}");
        assert!(!is_whole(element, &[&value[..], &[0]].concat()), "{element:?}");
        for length in 0..value.len() {
            assert!(!is_whole(element, &value[..length]), "{element:?} cut at {length}");
        }
    }
    assert!(!is_whole(Element::Vector, &value(&[255, 255, 0, 0], 12)));
}

/// From 0 to under 1, the same each time.
fn numbers(mut state: u64) -> impl FnMut() -> f64 {
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[test]
fn a_sample_is_full_before_anything_goes() {
    let first = choose(0, 0.0, 10, 7, numbers(1));
    assert_eq!((first.removed, first.kept.len(), first.seen), (0, 7, 7.0));
    let more = choose(7, 7.0, 10, 3, numbers(1));
    assert_eq!((more.removed, more.kept.len(), more.seen), (0, 3, 10.0));
    let fewer_wanted = choose(10, 500.0, 4, 0, numbers(1));
    assert_eq!((fewer_wanted.removed, fewer_wanted.kept.len()), (6, 0));
}

#[test]
fn each_is_as_likely_to_stay() {
    // 100 batches of 10 into 50 places, 200 times: each of the 1,000 has one chance in 20.
    let mut random = numbers(7);
    let mut stayed = [0u32; 10];
    for _ in 0..200 {
        let mut kept: Vec<usize> = Vec::new();
        let mut seen = 0.0;
        for batch in 0..100 {
            let chosen = choose(kept.len(), seen, 50, 10, &mut random);
            for _ in 0..chosen.removed {
                kept.swap_remove((random() * kept.len() as f64) as usize);
            }
            kept.extend(chosen.kept.iter().map(|number| batch * 10 + number));
            seen = chosen.seen;
            assert!(kept.len() <= 50);
        }
        assert_eq!((kept.len(), seen), (50, 1000.0));
        kept.iter().for_each(|number| stayed[number / 100] += 1);
    }
    assert!(stayed.iter().all(|of_ten| (850..1150).contains(of_ten)), "{stayed:?}");
}
