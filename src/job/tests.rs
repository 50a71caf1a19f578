use super::{Event, Hold, State, step};

#[test]
fn the_whole_life_of_a_job() {
    let mut table = String::new();
    for from in State::ALL {
        for event in Event::ALL {
            if let Ok(step) = step(from, event) {
                table += &format!("{:<11} {:<16} -> {:<11} {:?}\n", from, format!("{event:?}"), step.to, step.hold);
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_hold_ends_exactly_on_the_edge_into_a_final_state() {
    for from in State::ALL {
        for event in Event::ALL {
            let Ok(step) = step(from, event) else { continue };
            assert!(!from.is_final(), "{from} is final and yet sees {event:?}");
            assert_eq!(step.hold != Hold::Keep, step.to.is_final(), "{from} {event:?} {step:?}");
        }
    }
}

#[test]
fn every_state_is_read_back_from_its_name() {
    for state in State::ALL {
        assert_eq!(state.as_str().parse(), Ok(state));
    }
    assert!("queued".parse::<State>().is_err());
}
