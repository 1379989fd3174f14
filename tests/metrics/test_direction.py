"""Which way names of metrics are better, for names that people and libraries use."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from orchestrator.metrics import goal

_MORE = """
    accuracy acc val_acc top1 top-5 acc@1 acc1 val/acc_top5 precision recall f1 f1_score
    macro_f1 F1-Score auc roc_auc AUROC average_precision mAP mAP50 metrics/mAP50-95(B)
    AP50 bbox_mAP AP APs mIoU meanIoU iou val_iou dice jaccard psnr ssim ms_ssim bleu
    sacrebleu rouge1 eval_rougeL rouge-2 rougeLsum meteor cider bertscore exact_match em
    ndcg ndcg@10 NDCG@5 mrr MRR@10 hit_rate hits@10 recall@5 precision@k r2 R2 r2_score
    explained_variance pearson spearmanr kendall_tau mcc kappa matthews_corrcoef reward
    episode_reward ep_rew_mean rollout/ep_rew_mean episode_reward_mean mean_reward
    eval/episodic_return return score success_rate successRate win_rate elbo val_elbo
    log_likelihood loglik inception_score snr si_sdr SI-SDR pesq stoi mos silhouette ari
    nmi balanced_accuracy BalancedAccuracy valAcc val_balanced_accuracy sensitivity
    specificity tpr neg_mean_squared_error neg_log_loss mean_per_class_accuracy
    per_class_acc pass@1 cosine_similarity correlation fitness throughput
    samples_per_second accuracy_top5 sparse_categorical_accuracy binary_accuracy
    multiclass_accuracy val_f1_macro pq hota mota c_index concordance_index PSNR
    acc_norm,none solved reward_mean AR100 map_50 map@10 hmean mean_ap test_accuracy
    ValAccuracy validation/MulticlassF1Score hmean
"""
_LESS = """
    loss val_loss Loss/train losses/train train/box_loss ssim_loss mae val_mae rmse mse
    val_mse error err error_rate top1_err top1_error wer cer per val_per perplexity ppl
    eval_perplexity nll neg_log_likelihood negative_elbo cross_entropy bce kl_divergence
    fid kid lpips brier_score ece eer fpr false_positive_rate fnr hausdorff hd95 mape
    smape rmsle logloss log_loss bpc bits_per_byte bpd regret cost deviance latency crps
    chamfer_distance mlogloss merror word_error_rate reward_loss acc_loss gan_loss_G
    tr_loss loss_val Training-loss c50_undefined mean_absolute_error rmse_val RMSE
    valLoss one_minus_ssim 1-ssim nrmse
"""
_NEITHER = """
    something_unheard_of lr learning_rate epoch step grad_norm gpu_memory time foo alpha
    y runtime eval_runtime momentum entropy temperature n_params
"""
MAXIMIZED, MINIMIZED, UNKNOWN = _MORE.split(), _LESS.split(), _NEITHER.split()
ALL = dict.fromkeys(MAXIMIZED, "maximize") | dict.fromkeys(MINIMIZED, "minimize")


@pytest.mark.parametrize(
    ("names", "expected"),
    [(MAXIMIZED, "maximize"), (MINIMIZED, "minimize"), (UNKNOWN, None)],
)
def test_names_show_their_direction(names: list[str], expected: str | None) -> None:
    assert {name: goal(name) for name in names if goal(name) != expected} == {}


@given(
    name=st.sampled_from([name for name in ALL if name.isidentifier() and name.islower()]),
    split=st.sampled_from(["", "val", "train", "test", "eval", "dev", "validation", "best"]),
    separator=st.sampled_from("_/.- "),
    upper=st.booleans(),
)
def test_split_separator_and_case_do_not_matter(
    name: str, split: str, separator: str, upper: bool
) -> None:
    text = f"{split}_{name}" if split else name
    text = text.replace("_", separator)
    assert goal(text.upper() if upper else text) == ALL[name]


@given(st.text(max_size=40))
def test_any_text_has_at_most_one_direction(name: str) -> None:
    assert goal(name) in (None, "minimize", "maximize")
