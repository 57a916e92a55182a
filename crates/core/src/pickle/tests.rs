//! What is read of Python's own pickles, and that nothing a file says takes more than the file.

use super::{Id, Malformed, Pickle, Value};
use proptest::prelude::*;

/// Of Python 3, with protocols 0, 1, 2 and 4 (5 writes the same as 4):
/// `{'numbers': [0, 255, 65535, -1, 2**40, 2**70, 1.5, True, False, None], 'strings': (b'\x00\xff\n', 'é€\\\\u', ''), 'more':
/// OrderedDict(a=(1,), b=(2, 3), c=(4, 5, 6, 7)), 'set': {1, 2}}`, and once more the numbers under 'again'.
const PYTHONS: [&[u8]; 4] = [
    b"(dp0\nVnumbers\np1\n(lp2\nI0\naI255\naI65535\naI-1\naL1099511627776L\naL1180591620717411303424L\naF1.5\n\
      aI01\naI00\naNasVstrings\np3\n(c_codecs\nencode\np4\n(V\\u0000\xff\\u000a\np5\nVlatin1\np6\ntp7\nRp8\nV\
      \xe9\\u20ac\\u005cu\np9\nV\np10\ntp11\nsVmore\np12\nccollections\nOrderedDict\np13\n(tRp14\nVa\np15\n(I1\
      \ntp16\nsVb\np17\n(I2\nI3\ntp18\nsVc\np19\n(I4\nI5\nI6\nI7\ntp20\nssVset\np21\nc__builtin__\nset\np22\n(\
      (lp23\nI1\naI2\natp24\nRp25\nsVagain\np26\ng2\ns.",
    b"}q\x00(X\x07\x00\x00\x00numbersq\x01]q\x02(K\x00K\xffM\xff\xffJ\xff\xff\xff\xffL1099511627776L\nL1180591\
      620717411303424L\nG?\xf8\x00\x00\x00\x00\x00\x00I01\nI00\nNeX\x07\x00\x00\x00stringsq\x03(c_codecs\nenco\
      de\nq\x04(X\x04\x00\x00\x00\x00\xc3\xbf\nq\x05X\x06\x00\x00\x00latin1q\x06tq\x07Rq\x08X\x07\x00\x00\x00\
      \xc3\xa9\xe2\x82\xac\\uq\x09X\x00\x00\x00\x00q\ntq\x0bX\x04\x00\x00\x00moreq\x0cccollections\nOrderedDic\
      t\nq\x0d)Rq\x0e(X\x01\x00\x00\x00aq\x0f(K\x01tq\x10X\x01\x00\x00\x00bq\x11(K\x02K\x03tq\x12X\x01\x00\x00\
      \x00cq\x13(K\x04K\x05K\x06K\x07tq\x14uX\x03\x00\x00\x00setq\x15c__builtin__\nset\nq\x16(]q\x17(K\x01K\
      \x02etq\x18Rq\x19X\x05\x00\x00\x00againq\x1ah\x02u.",
    b"\x80\x02}q\x00(X\x07\x00\x00\x00numbersq\x01]q\x02(K\x00K\xffM\xff\xffJ\xff\xff\xff\xff\x8a\x06\x00\x00\
      \x00\x00\x00\x01\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00@G?\xf8\x00\x00\x00\x00\x00\x00\x88\x89NeX\x07\
      \x00\x00\x00stringsq\x03c_codecs\nencode\nq\x04X\x04\x00\x00\x00\x00\xc3\xbf\nq\x05X\x06\x00\x00\x00lati\
      n1q\x06\x86q\x07Rq\x08X\x07\x00\x00\x00\xc3\xa9\xe2\x82\xac\\uq\x09X\x00\x00\x00\x00q\n\x87q\x0bX\x04\
      \x00\x00\x00moreq\x0cccollections\nOrderedDict\nq\x0d)Rq\x0e(X\x01\x00\x00\x00aq\x0fK\x01\x85q\x10X\x01\
      \x00\x00\x00bq\x11K\x02K\x03\x86q\x12X\x01\x00\x00\x00cq\x13(K\x04K\x05K\x06K\x07tq\x14uX\x03\x00\x00\
      \x00setq\x15c__builtin__\nset\nq\x16]q\x17(K\x01K\x02e\x85q\x18Rq\x19X\x05\x00\x00\x00againq\x1ah\x02u.",
    b"\x80\x04\x95\xc0\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x07numbers\x94]\x94(K\x00K\xffM\xff\xffJ\xff\xff\
      \xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00@G?\xf8\x00\x00\x00\x00\
      \x00\x00\x88\x89Ne\x8c\x07strings\x94C\x03\x00\xff\n\x94\x8c\x07\xc3\xa9\xe2\x82\xac\\u\x94\x8c\x00\x94\
      \x87\x94\x8c\x04more\x94\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94(\x8c\x01a\x94K\x01\
      \x85\x94\x8c\x01b\x94K\x02K\x03\x86\x94\x8c\x01c\x94(K\x04K\x05K\x06K\x07t\x94u\x8c\x03set\x94\x8f\x94(K\
      \x01K\x02\x90\x8c\x05again\x94h\x02u.",
];

fn read(mut bytes: &[u8]) -> Result<Pickle<'_>, Malformed> {
    Pickle::read(&mut bytes)
}

fn refused(bytes: &[u8], words: &str) {
    let Malformed(message) = read(bytes).unwrap_err();
    assert!(message.contains(words), "{message}");
}

#[test]
fn every_protocol_gives_the_same() {
    for bytes in PYTHONS {
        let pickle = read(bytes).unwrap();
        let entry = |name: &str| pickle.entry(pickle.root(), name).unwrap();
        let numbers: Vec<&Value<'_>> =
            pickle.list(entry("numbers")).unwrap().iter().map(|id| pickle.get(*id)).collect();
        let ints = [0, 255, 65535, -1, 1 << 40].map(Value::Int);
        let others = [Value::Other, Value::Other, Value::Bool(true), Value::Bool(false), Value::None];
        let expected: Vec<&Value<'_>> = ints.iter().chain(&others).collect();
        assert_eq!(numbers, expected);
        assert_eq!(entry("again"), entry("numbers"));

        let [bytes, text, empty] = pickle.tuple(entry("strings")).unwrap() else { panic!("three strings") };
        assert_eq!(pickle.bytes(*bytes).unwrap(), &b"\x00\xff\n"[..]);
        assert_eq!((pickle.text(*text), pickle.text(*empty)), (Some("é€\\u"), Some("")));
        assert_eq!(pickle.bytes(*text), None);

        let tuple = |name: &str| {
            let items = pickle.tuple(pickle.entry(entry("more"), name).unwrap()).unwrap();
            items.iter().map(|id| pickle.int(*id).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!((tuple("a"), tuple("b"), tuple("c")), (vec![1], vec![2, 3], vec![4, 5, 6, 7]));
    }
}

#[test]
fn python_2_writes_strings_as_bytes() {
    let pickle = read(b"(dp0\nS'na\\x6de'\np1\nS\"it's \\\\ \\'\\t\"\np2\nsg1\nL-7L\ns.").unwrap();
    // The later value counts.
    assert_eq!(pickle.entry(pickle.root(), "name").and_then(|id| pickle.int(id)), Some(-7));
    let first = pickle.dict(pickle.root()).unwrap()[0].1;
    assert_eq!(pickle.bytes(first).unwrap(), &b"it's \\ '\t"[..]);
}

#[test]
fn objects_keep_their_calls_and_states() {
    let whole = b"cos\nsystem\nq\x00(X\x02\x00\x00\x00lsq\x01tR}X\x01\x00\x00\x00aK\x01sbh\x01.extra";
    let mut bytes = &whole[..];
    let pickle = Pickle::read(&mut bytes).unwrap();
    assert_eq!((bytes, pickle.text(pickle.root())), (&b"extra"[..], Some("ls")));
    let objects = (0..pickle.values.len() as u32).filter_map(|place| pickle.call(Id(place)));
    let [call] = objects.collect::<Vec<_>>()[..] else { panic!("one object") };
    assert_eq!(call.function, ("os", "system"));
    assert_eq!(call.state.and_then(|state| pickle.entry(state, "a")).and_then(|id| pickle.int(id)), Some(1));
}

#[test]
fn what_is_malformed_is_refused() {
    refused(b"", "ends too early: 1 bytes should follow, and 0 do");
    refused(b"\x80\x02.", "takes a value where there is none");
    refused(b"\x80\x06N.", "protocol 6; 0 to 5");
    refused(b"N(.", "takes a value where there is none (before byte 3 of the pickle)");
    refused(b"Nt.", "a mark that is not there");
    refused(b"h\x07.", "number 7 of its memo");
    refused(b"Na.", "takes a value where there is none");
    refused(b"NNa.", "appends to what is no list");
    refused(b"NNNs.", "sets a key of what is no dictionary");
    refused(b"(Nd.", "a key without a value");
    refused(b"NN\x93.", "named by what is no string");
    refused(b"\xff", "unknown instruction, 0xff");
    refused(b"I1", "ends within a line");
    refused(b"Ione\n.", "a number is none");
    refused(b"S'a\n.", "lacks a quote");
    refused(b"V\\ud800\n.", "wrong escape");
    refused(b"X\x02\x00\x00\x00\xff\xff.", "not UTF-8");
    refused(b"(o.", "takes a value where there is none");
}

#[test]
fn nothing_is_made_that_a_length_only_claims() {
    for length in
        [&b"X\xff\xff\xff\xff"[..], b"T\xff\xff\xff\x7f", b"B\xff\xff\xff\xff", b"\x8b\xff\xff\xff\x7f"]
    {
        refused(length, "ends too early");
    }
    for instruction in [0x8d, 0x8e, 0x95, 0x96] {
        refused(&[&[instruction][..], &[0xff; 8]].concat(), "ends too early: 18446744073709551615 bytes");
    }
}

#[test]
fn depth_takes_no_stack() {
    for deep in [&b"\x85"[..], b"Q", b"]q\x00h\x00a", b")R", b"\x85]b"] {
        let bytes = [b"\x80\x02)", &deep.repeat(400_000)[..], b"."].concat();
        drop(read(&bytes).unwrap());
    }
    let marks = ["(".repeat(400_000), ")".into(), "t".repeat(400_000), ".".into()].concat();
    assert!(read(marks.as_bytes()).unwrap().tuple(Id(400_000)).is_some());
}

#[test]
fn the_memo_copies_nothing() {
    // A list that holds the one before it twice, and so on: 2^1000 values, if it were a tree.
    let doubled = b"\x85q\x00h\x00h\x00\x86q\x00".repeat(1000);
    let bytes = [b"]", &doubled[..], b"."].concat();
    assert_eq!(read(&bytes).unwrap().values.len(), 2001);
    // One that holds itself.
    let pickle = read(b"]q\x00(h\x00h\x00e.").unwrap();
    assert_eq!(pickle.list(pickle.root()), Some(&[pickle.root(); 2][..]));
}

#[test]
fn there_are_only_so_many_values() {
    let most = 1 << 22;
    for one in ["N0", "(", "N2"] {
        let bytes = one.repeat(most + 1);
        refused(bytes.as_bytes(), "more than 4194304 values");
    }
    let bytes = [
        b"N".as_slice(),
        &(0..=most as u32).flat_map(|place| [&b"r"[..], &place.to_le_bytes()].concat()).collect::<Vec<_>>(),
    ]
    .concat();
    refused(&bytes, "more than 4194304 values");
}

/// Instructions, each with some operands: most of random bytes end at the first.
fn program() -> impl Strategy<Value = Vec<u8>> {
    let known = b"(012pqrghjNILJKMFGSUCTBVX)tl]aed}sucRiobPQ\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96.";
    let operand = prop_oneof![
        Just(b"".to_vec()),
        Just(b"0\n".to_vec()),
        Just(vec![0]),
        Just(b"\x01\x00\x00\x00".to_vec()),
        Just(b"collections\nOrderedDict\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..9),
    ];
    let instruction = (proptest::sample::select(&known[..]), operand);
    let step = instruction.prop_map(|(instruction, operand)| [&[instruction][..], &operand].concat());
    proptest::collection::vec(step, 0..40).prop_map(|steps| steps.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn no_program_does_harm(program in program()) {
        if let Ok(pickle) = read(&program) {
            for place in 0..pickle.values.len() as u32 {
                let id = Id(place);
                let _ = (pickle.entry(id, "a"), pickle.bytes(id), pickle.call(id), pickle.global(id));
            }
        }
    }

    #[test]
    fn damaged_pickles_do_no_harm(
        which in 0..PYTHONS.len(),
        changes in proptest::collection::vec((0.0..1.0, any::<u8>()), 1..5),
    ) {
        let mut bytes = PYTHONS[which].to_vec();
        for (place, byte) in changes {
            let place = (place * bytes.len() as f64) as usize;
            bytes[place] = byte;
        }
        let _ = read(&bytes);
    }
}
