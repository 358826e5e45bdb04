use proptest::prelude::*;

use super::*;

/// Each line's versions, the oldest first; `=` between those that are equal.
const ORDERS: [(Scheme, &str); 25] = [
    (
        Scheme::Semver,
        "0.2.4 1.2.5 1.2.6 v1.2.10 2.0.0-alpha 2.0.0-alpha.1 2.0.0-alpha.beta 2.0.0-beta.2 2.0.0-beta.11 2.0.0-rc.1 2.0.0",
    ),
    (Scheme::Semver, "v2.7.1+incompatible v2.8.0 = 2.8.0 = 2.8"),
    (Scheme::Semver, "0.0.0-20190422165155-953cdadca894 0.0.0-20220412211240-33da011f77ad 0.1.0"),
    (Scheme::Nuget, "1.0.0beta1 1.0.0RC 1.0.0 1.0.0.1"),
    (Scheme::Nuget, "1.0.0-Alpha = 1.0.0-alpha 1.0.0-BETA 1.0.0 = 1.0 = 1.0.0.0 1.0.0.1"),
    (Scheme::Pypi, "1.0.dev1 1.0a1 1.0b2 1.0rc1 1.0 = 1.0.0 1.0+local 1.0.post1 1.1 2022.5.18.1 2023.7.22 1!0.1"),
    (Scheme::Gem, "1.0.a 1.0 = 1.0.0 1.8.2.a 1.8.2.b 1.8.2 1.9.2.99 1.9.3 1.9.3.1"),
    (Scheme::Gem, "1.13.9 1.13.10-x86_64-linux = 1.13.10 5.a 5.0.0.rc2 5.x 5.2.4.3 6.0.2.1 6.0.3.1"),
    (
        Scheme::Maven,
        "1-alpha-1 = 1a1 1-beta 1-milestone-1 = 1-m1 1-rc-1 = 1-cr1 1-SNAPSHOT 1 = 1.0 = 1-ga = 1.Final = 1.0.RELEASE 1-sp 1-jre 1-1 1.1",
    ),
    (Scheme::Maven, "2.9.1 2.9.9.2 2.9.10 2.9.10.4 2.10 9.0.109 9.0.110 10.1.47 11.0.12"),
    (Scheme::Maven, "2.0.0.M1 2.0.0-RC1 2.0.0 4.1.77.Final 4.1.78 9.4.43.v20210629 9.4.44.v20210927"),
    (Scheme::Deb, "1.0~~ 1.0~~a 1.0~ 1.0 1.0-1~bpo 1.0-1 1.0a 1.0+b1 1.0.1"),
    (Scheme::Deb, "7.88.1-10+deb12u4 7.88.1-10+deb12u12 8.0-1 1:0.9"),
    (Scheme::Deb, "3.0.9-1 3.0.11-1~deb12u2 3.0.11-1 3.0.11-1+b1"),
    (Scheme::Deb, "1.1.0k-1~deb9u1 1.1.0l-1~deb9u1 1.1.1w-0+deb11u2 1.1.1w-0+deb11u3"),
    (Scheme::Deb, "1.0-0 = 1.0 = 1.00 = 0:1.0-0 1.0-0ubuntu1 1.0-0ubuntu1.1 1.0-1"),
    (Scheme::Deb, "8.25-2ubuntu3~16.04 8.25-2ubuntu3 5:20.10 6:0"),
    (Scheme::Rpm, "1.0~rc1-1 1.0-1 1.0^git1-1 1.0.1-1 1.1-1 1.10-1 2.0-1 1:0.5-1"),
    (Scheme::Rpm, "4.2.46-30.amzn2 4.2.46-34.amzn2 32:9.11.4-26.P2.amzn2.5.2 99:9.11.4-26.P2.amzn2.13"),
    (Scheme::Rpm, "1.4.2-2.el6_7.1 1.4.2-2.0.1.el6_7.1 1.4.2-3.0.1.el6_10.1 2.56.4-1.el8 2.56.4-7.el8"),
    (Scheme::Rpm, "1.1.0i-lp151.8.3.1 1.1.0i-lp151.8.6.1 1:1.1.1k-4.el8 1:1.1.1k-5.el8_5"),
    (Scheme::Apk, "1.1.1b-r1 1.1.1c-r0 1.1.1d-r0 1.1.1d-r2 1.1.1d-r10 1.1.1g-r0 1.1.24-r2 1.1.24-r3"),
    (Scheme::Apk, "1.0_alpha 1.0_alpha2 1.0_beta 1.0_pre1 1.0_rc1 1.0 1.0-r1 1.0_p1 1.0a 1.0.1 1.001 1.01 1.1 1.20"),
    (Scheme::Apk, "0.1.0_alpha 0.1.0 0.1.3_alpha 0.1.3 2.0_rc1-r3 2.0-r0 2.0_p1 2.0_p10"),
    (Scheme::Apk, "8.212.04-r0 8.222.10-r0 8.232.09-r0 8.242.08-r0 20190108-r0 20191127-r2"),
];

fn read(scheme: Scheme, text: &str) -> Version {
    Version::read(scheme, text).unwrap_or_else(|| panic!("{scheme:?} {text}"))
}

#[test]
fn versions_are_in_the_order_of_their_ecosystem() {
    for (scheme, line) in ORDERS {
        let groups: Vec<Vec<&str>> = line.split(" = ").map(str::split_whitespace).map(Iterator::collect).collect();
        // The last of a group equals the first of the next one.
        let mut order: Vec<(&str, usize)> = Vec::new();
        let mut rank = 0;
        for (at, group) in groups.iter().enumerate() {
            for (within, text) in group.iter().enumerate() {
                rank += usize::from(at == 0 || within > 0);
                order.push((text, rank));
            }
        }
        for (one, rank) in &order {
            for (other, other_rank) in &order {
                let found = read(scheme, one).cmp(&read(scheme, other));
                assert_eq!(found, rank.cmp(other_rank), "{scheme:?}: {one} and {other}");
            }
        }
    }
}

#[test]
fn what_is_no_version_of_the_scheme_is_not_read() {
    let wrong = [
        (Scheme::Semver, "none N/A 1..2 1.2.3- 1.2.3-01 99999999999999999999 =1"),
        (Scheme::Pypi, "7.81.0-1ubuntu1.14 abc 1.x"),
        (Scheme::Gem, "junk 1..2 1.2_3"),
        (Scheme::Maven, "RELEASE ${project.version} -1"),
        (Scheme::Deb, "a1 1:a x:1 1_0 1:"),
        (Scheme::Rpm, "x:1-1 :1-1 -1 (none)"),
        (Scheme::Apk, "1.2-rc1 1.2_foo 1..2 a 1.2~3 1.2-r 123456789012345678"),
    ];
    for (scheme, texts) in wrong {
        for text in texts.split_whitespace().chain(["", "1 2", "１.２", &"1.".repeat(200)]) {
            assert_eq!(Version::read(scheme, text), None, "{scheme:?} {text}");
        }
    }
}

#[test]
fn the_scheme_follows_from_trivys_type() {
    let known = [
        ("npm", Scheme::Semver),
        ("gobinary", Scheme::Semver),
        ("nuget", Scheme::Nuget),
        ("python-pkg", Scheme::Pypi),
        ("jar", Scheme::Maven),
        ("gemspec", Scheme::Gem),
        ("debian", Scheme::Deb),
        ("ubuntu", Scheme::Deb),
        ("wolfi", Scheme::Apk),
        ("rocky", Scheme::Rpm),
        ("opensuse.leap", Scheme::Rpm),
        ("suse linux enterprise server", Scheme::Rpm),
    ];
    for (kind, scheme) in known {
        assert_eq!(Scheme::of(kind), Some(scheme), "{kind}");
    }
    for kind in ["", "bitnami", "conda-pkg", "wordpress", "Debian"] {
        assert_eq!(Scheme::of(kind), None, "{kind}");
    }
}

#[test]
fn releases_have_a_common_beginning() {
    let common = |one, other| read(Scheme::Semver, one).common_release(&read(Scheme::Semver, other));
    assert_eq!([common("1.2.5", "1.2.6"), common("1.2.5", "0.2.4"), common("2", "2.0.0-rc.1")], [2, 0, 3]);
    assert_eq!(read(Scheme::Deb, "1:2.3-4").release(), [] as [u64; 0]);
}

const SCHEMES: [Scheme; 8] =
    [Scheme::Semver, Scheme::Nuget, Scheme::Pypi, Scheme::Gem, Scheme::Maven, Scheme::Deb, Scheme::Rpm, Scheme::Apk];

/// Texts of what versions are made of, so that many are read and many are close to each other.
fn any_version() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "0", "1", "2", "01", "10", ".", ".", "-", "~", "^", "+", "_", ":", "a", "b", "rc", "alpha", "_rc", "_p", "-r1",
        "final", "x", ".dev1", "-0",
    ]);
    (0u8..3, prop::collection::vec(piece, 0..7)).prop_map(|(first, rest)| format!("{first}{}", rest.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_order_is_total(one in any_version(), two in any_version(), three in any_version()) {
        for scheme in SCHEMES {
            let read = [&one, &two, &three].map(|text| Version::read(scheme, text));
            let [Some(a), Some(b), Some(c)] = read else { continue };
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            prop_assert_eq!(a == b, a.cmp(&b).is_eq());
            prop_assert!(a.cmp(&a).is_eq());
            if a <= b && b <= c {
                prop_assert!(a <= c, "{:?}: {} {} {}", scheme, one, two, three);
            }
            if a == b {
                prop_assert_eq!(a.cmp(&c), b.cmp(&c));
            }
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>(), close in any_version()) {
        for scheme in SCHEMES {
            let _ = Version::read(scheme, &text);
            let _ = Version::read(scheme, &close);
        }
    }
}
