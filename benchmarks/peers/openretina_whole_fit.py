"""open-retina's core and readout, fitted by its own trainer with its own settings.

As in its base_core_readout configuration: 16 and 16 channels, kernels of 21 x 11 x 11
and 11 x 5 x 5, Gaussian masks, AdamW at 0.01, chunks of 50 frames, 32 a batch.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import OmegaConf
from openretina.data_io.base import (
    MoviesTrainTestSplit,
    ResponsesTrainTestSplit,
    compute_data_info,
)
from openretina.data_io.base_dataloader import multiple_movies_dataloaders
from openretina.data_io.cyclers import LongCycler, ShortCycler
from openretina.models.core_readout import UnifiedCoreReadout

from benchmarks.peers.placed import about
from benchmarks.peers.recording import Recording, Stopwatch
from benchmarks.worker import Work, versions

CHUNK, BATCH = 50, 32  # frames; chunks
RATE, FACTOR = 0.01, 0.3  # the first learning rate; what a plateau takes of it
LOOK_EACH = 4  # epochs of a falling rate between judgements, a minute each
SESSION = "recording"


class Look(lightning.Callback):
    """Judges when it is time to, keeps the best weights, and ends the fit."""

    def __init__(self, watch: Stopwatch, drops: int | None, epochs: int | None):
        self.watch = watch
        self.drops = drops
        self.epochs = epochs
        self.settled = False
        self.weights: dict[str, torch.Tensor] = {}

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if self.watch.due and self.epochs is None:
            self.look(trainer, module)

    def on_train_epoch_end(self, trainer, module) -> None:
        now = trainer.optimizers[0].param_groups[0]["lr"]
        lowest = RATE * FACTOR ** (self.drops or 0)
        if self.epochs is not None:
            left = self.epochs - trainer.current_epoch - 1
            ended = left == 0
            if left and left % LOOK_EACH == 0 or self.watch.over:
                self.look(trainer, module)
        else:
            ended = self.drops is not None and now <= lowest * 1.01
        if ended:
            self.settled = True
            self.look(trainer, module)

    def look(self, trainer, module) -> None:
        ends = self.watch.look() or self.settled
        if self.watch.best:
            kept = module.state_dict()
            self.weights = {name: value.clone() for name, value in kept.items()}
        if ends:
            trainer.should_stop = True
            trainer.limit_val_batches = 0

    def state_dict(self) -> dict[str, Any]:
        return {
            "watch": self.watch.state(),
            "weights": self.weights,
            "settled": self.settled,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.watch.go_on(state_dict["watch"])
        self.weights = state_dict["weights"]
        # Of a fit that had ended: the trainer has no epoch left to tell it again.
        self.settled = state_dict.get("settled", False)


def model_of(
    info: dict[str, Any], frame: tuple[int, ...], epochs: int | None
) -> UnifiedCoreReadout:
    sizes = [11, 5] if min(frame) >= 30 else [7, 3]
    core = {
        "_target_": "openretina.modules.core.base_core.SimpleCoreWrapper",
        "_convert_": "object",
        "channels": None,
        "temporal_kernel_sizes": [21, 11],
        "spatial_kernel_sizes": sizes,
        "gamma_input": 0.0,
        "gamma_hidden": 0.0,
        "gamma_in_sparse": 0.0,
        "gamma_temporal": 40.0,
        "input_padding": 0,
        "hidden_padding": [0, sizes[1] // 2, sizes[1] // 2],
        "convolution_type": "custom_separable",
        "cut_first_n_frames": 0,
        "dropout_rate": 0.0,
    }
    readout = {
        "_target_": "openretina.modules.readout.multi_readout.MultiGaussianMaskReadout",
        "_convert_": "object",
        "scale": True,
        "bias": True,
        "positive": True,
        "gaussian_mean_scale": 6.0,
        "gaussian_var_scale": 4.0,
        "mask_l1_reg": 1.0,
        "feature_weights_l1_reg": 1.0,
        "readout_reg_avg": False,
    }
    # Without one, the built-in default watches a quantity that is never logged.
    schedule = {
        "_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau",
        "mode": "max",
        "factor": FACTOR,
        "patience": 5,
        "threshold": 5e-4,
        "threshold_mode": "abs",
        "monitor": "val_evaluation_loss",
        "interval": "epoch",
        "frequency": 1,
    }
    if epochs:
        schedule = {
            "_target_": "torch.optim.lr_scheduler.CosineAnnealingLR",
            "T_max": epochs,
            "interval": "epoch",
            "frequency": 1,
        }
    return UnifiedCoreReadout(
        in_shape=(1, CHUNK, *frame),
        hidden_channels=(16, 16),
        n_neurons_dict=info["n_neurons_dict"],
        core=OmegaConf.create(core),
        readout=OmegaConf.create(readout),
        learning_rate=RATE,
        data_info=info,
        lr_scheduler=OmegaConf.create(schedule),
    )


def fitted(settings: dict[str, Any]) -> Work:
    """`drops`: end when its schedule has lowered the rate so often; None: never.
    `falling`: epochs of a rate that falls to zero along a cosine, in its place.
    `keep`: folder of its state after every epoch; where one is, it goes on from there.
    """
    torch.set_num_threads(settings.get("threads") or torch.get_num_threads())
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    # Not the default device: its dataloaders draw with a generator of the CPU.
    device = torch.device(settings.get("device") or "cpu")
    recording = Recording(settings)
    blocks, bins, *frame = recording.stimulus.shape
    # Its dataloader has one movie; no chunk crosses from one block into the next.
    movie = recording.standard(recording.stimulus).reshape(1, -1, *frame)
    counts = recording.counts.astype(np.float32).reshape(blocks * bins, -1).T
    held_out = torch.from_numpy(recording.standard(recording.judged))[:, None]
    heard = recording.heard.astype(np.float32)[0].T

    def step() -> dict[str, Any]:
        lightning.seed_everything(0)
        watch = Stopwatch(settings, lambda: judged())
        epochs = settings.get("falling")
        look = Look(watch, settings.get("drops"), epochs)
        movies = MoviesTrainTestSplit(
            train=movie, test=held_out[0].numpy(), norm_mean=0.0, norm_std=1.0
        )
        responses = ResponsesTrainTestSplit(train=counts, test=heard)
        sessions = {SESSION: responses}, {SESSION: movies}
        loaders = multiple_movies_dataloaders(
            *sessions,
            train_chunk_size=CHUNK,
            batch_size=BATCH,
            clip_length=bins,
            num_val_clips=1,
            allow_over_boundaries=False,
        )
        model = model_of(compute_data_info(*sessions), tuple(frame), epochs)

        def predicted(trials: torch.Tensor) -> np.ndarray:
            model.eval()
            with torch.no_grad():
                rate = [
                    model(one[None].to(model.device), data_key=SESSION)[0].cpu()
                    for one in trials
                ]
            model.train()
            return torch.stack(rate).numpy()

        def judged() -> np.ndarray:
            return recording.bits(predicted(held_out))

        kept = settings.get("keep")
        callbacks: list[lightning.Callback] = [look]
        if kept:
            every_epoch = ModelCheckpoint(kept, "last", enable_version_counter=False)
            callbacks.append(every_epoch)
        with tempfile.TemporaryDirectory() as folder:
            trainer = lightning.Trainer(
                max_epochs=epochs or 100,
                accelerator="gpu" if device.type == "cuda" else "cpu",
                devices=1,
                logger=False,
                enable_checkpointing=bool(kept),
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                gradient_clip_val=1,
                callbacks=callbacks,
                default_root_dir=folder,
            )
            train = LongCycler(loaders["train"], shuffle=True)
            last = Path(kept or folder) / "last.ckpt"
            trainer.fit(
                model,
                train,
                ShortCycler(loaders["validation"]),
                ckpt_path=last if last.exists() else None,
                weights_only=False,  # its own state, which holds more than tensors
            )
        model.load_state_dict(look.weights)
        running, frozen = (
            predicted(torch.from_numpy(recording.standard(one))[:, None])
            for one in (recording.running, recording.frozen[0][None])
        )
        return watch.told() | {
            "settled": look.settled,
            "running": recording.running_bits(running).tolist(),
            "frozen_r": recording.correlation(frozen[0]).tolist(),
        }

    packages = versions("openretina", "lightning", "torch")
    return Work(step, packages, about=about(device))
