def test_distances_give_way_to_further_targets(tmp_path: Path) -> None:
    targets = {"mae": "<= 0.15", "rmse": "<= 0.3", "r2": ">= 0.99"}
    made_sweep = made.sweep(tmp_path, targets=targets)
    for place in range(2):
        made.trial(made_sweep, place, error=0.1 + place, val_error=0.2, config={"lr": place})
    wide, narrow = (render_comparison(compare([tmp_path]), width=w).splitlines() for w in (90, 50))
    assert "0.1000 ✓ -0.05" in wide[4]
    assert "0.1000 ✓ " in narrow[4]
    assert "-0.05" not in narrow[4]
    assert all(name in narrow[2] for name in targets)
