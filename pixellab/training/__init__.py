"""Training: a recipe becomes a run, and a run becomes a weight file.

`loop` trains any network, `batches` says what each step sees, `checkpoint`
keeps all that is needed to go on; `run` does what a recipe says, `readers`
and `eight_bits` make the other shipped files.
"""

from pixellab.recipes import Schedule
from pixellab.training.batches import Files, drop_labels, seeded
from pixellab.training.checkpoint import RunFolder, read_state
from pixellab.training.loop import Task, loss_in_nats, rate, train

__all__ = ["Files", "RunFolder", "Schedule", "Task", "drop_labels",
           "loss_in_nats", "rate", "read_state", "seeded", "train"]
