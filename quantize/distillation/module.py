"""Fine-tuning by what the float model says, for Lightning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from ...errors import PumiceError
from ...models.host import knowing
from ...train.data.batch import Batch, tells_values
from ...train.module import ClassifierModule
from ..qat_model import QATModel
from ..tracing import NOTHING
from .losses import apart, divergence, relative_error
from .signals import Listener, fitted
from .teacher import LOGITS, TaughtBatch, Teacher


class Distillation(ClassifierModule):
    """Trains a QAT model; validation logs the divergence of its logits from the float model's as the loss.

    Args:
        model: calibrated.
        num_classes: C; accuracy is not looked at.
        arguments: the others of `ClassifierModule`.
        teacher: what is compared.
        powers: the mean power of what is.
    """

    def __init__(
        self,
        model: QATModel[Any, Any, Any],
        num_classes: int | None,
        *arguments: Any,
        teacher: Teacher,
        powers: Mapping[str, float],
    ) -> None:
        super().__init__(model, None, *arguments)
        self._teacher, self._powers = (teacher,), powers  # not a submodule
        self.tuning = teacher.tuning

    def on_train_start(self) -> None:
        """Without dropout the model computes as it will."""
        if not self.tuning.dropout:
            self.model.eval()

    def batch_loss(self, batch: Batch) -> tuple[Tensor, int]:
        """See `ClassifierModule.batch_loss`: the error of the output, and of what is compared besides."""
        if not isinstance(batch, TaughtBatch):
            outputs, targets = batch.apply(self.model)
            if tells_values(batch):
                return mse_loss(outputs, targets), len(targets)
            return cross_entropy(outputs, targets, label_smoothing=self.settings.label_smoothing), len(targets)
        teacher, tuning = self._teacher[0], self.tuning
        assert isinstance(self.model, QATModel)
        listener = Listener(teacher.nodes())
        self.model.recorder = listener
        try:
            outputs, expected, targets = batch.answers(self.model)
        finally:
            self.model.recorder = NOTHING
        lengths, errors = batch.padded().lengths, {}
        for name in listener.names:
            if name not in listener.heard:
                raise PumiceError(f"the quantized model does not tell what {name} holds; set quantize.qat.hidden=none")
            found = teacher.reduced(name, listener.heard[name], lengths)
            taught = fitted(batch.taught[name], found.shape[1])
            errors[name] = relative_error(found, taught, self._powers[name])
        if batch.values and tuning.loss == "kl":
            raise PumiceError("quantize.qat.loss=kl compares probabilities of classes; set quantize.qat.loss=mse")
        if batch.values and tuning.loss == "labels":
            loss = mse_loss(outputs, targets)
        elif tuning.loss == "labels":
            loss = cross_entropy(outputs, targets, label_smoothing=self.settings.label_smoothing)
        elif tuning.loss == "kl":
            loss = divergence(outputs, expected, tuning.temperature)
        elif tuning.output == "potentials":
            assert teacher.qat.output_node is not None
            loss = errors.pop(teacher.qat.output_node)
        else:
            loss = relative_error(outputs, expected, self._powers[LOGITS])
        hidden = [errors[name] for name in teacher.qat.hidden_nodes() if name in errors]
        if hidden:
            loss = loss + tuning.hidden_weight * sum(hidden[1:], hidden[0]) / len(hidden)
        return loss, len(outputs)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Accumulate the divergence."""
        with knowing(tokens=True):
            outputs, expected = batch.apply(self.model)
        values = isinstance(batch, TaughtBatch) and batch.values
        self.validation_loss(apart(outputs, expected, values), weight=len(outputs))
        self.log(f"{self.judge}/loss", self.validation_loss, batch_size=len(outputs))
