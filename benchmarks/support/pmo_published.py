"""AUC top-10 of published systems on the 23 tasks of PMO, 10,000 calls, means of their own runs; from their own papers and mol_opt's README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Nothing is scored outside the budget.
SYSTEMS = ("NF-BO", "REINVENT", "GraphGA", "GP BO", "STONED", "LSTM-HC", "MolGA", "GenGFN", "InVirtuoGen")
# ZINC-250k is scored before the search, which the budget does not count: another protocol.
SCREENING = ("f-RAG", "GenMol", "InVirtuoGen")

PUBLISHED: Mapping[str, tuple[float, ...]] = {  # SYSTEMS, then SCREENING
    "albuterol_similarity": (0.817, 0.882, 0.838, 0.898, 0.745, 0.719, 0.896, 0.949, 0.950, 0.977, 0.937, 0.975),
    "amlodipine_mpo": (0.672, 0.635, 0.661, 0.583, 0.608, 0.593, 0.688, 0.761, 0.733, 0.749, 0.810, 0.836),
    "celecoxib_rediscovery": (0.546, 0.713, 0.630, 0.723, 0.382, 0.380, 0.567, 0.802, 0.798, 0.778, 0.826, 0.839),
    "deco_hop": (0.675, 0.666, 0.619, 0.629, 0.611, 0.826, 0.649, 0.733, 0.748, 0.936, 0.960, 0.968),
    "drd2": (0.875, 0.945, 0.964, 0.923, 0.913, 0.919, 0.936, 0.974, 0.985, 0.992, 0.995, 0.995),
    "fexofenadine_mpo": (0.784, 0.784, 0.760, 0.722, 0.797, 0.725, 0.825, 0.856, 0.845, 0.856, 0.894, 0.904),
    "gsk3b": (0.754, 0.865, 0.788, 0.851, 0.668, 0.839, 0.843, 0.881, 0.952, 0.969, 0.986, 0.988),
    "isomers_c7h8n2o2": (0.748, 0.852, 0.862, 0.680, 0.899, 0.485, 0.878, 0.969, 0.968, 0.955, 0.942, 0.988),
    "isomers_c9h10n2o2pf2cl": (0.842, 0.642, 0.719, 0.469, 0.805, 0.342, 0.865, 0.897, 0.874, 0.850, 0.833, 0.898),
    "jnk3": (0.649, 0.783, 0.553, 0.564, 0.523, 0.661, 0.702, 0.764, 0.825, 0.904, 0.906, 0.898),
    "median1": (0.340, 0.356, 0.294, 0.301, 0.266, 0.255, 0.257, 0.379, 0.342, 0.340, 0.398, 0.386),
    "median2": (0.260, 0.276, 0.273, 0.297, 0.245, 0.248, 0.301, 0.294, 0.288, 0.323, 0.359, 0.377),
    "mestranol_similarity": (0.607, 0.618, 0.579, 0.627, 0.609, 0.526, 0.591, 0.708, 0.797, 0.671, 0.982, 0.991),
    "osimertinib_mpo": (0.828, 0.837, 0.831, 0.787, 0.822, 0.796, 0.844, 0.860, 0.870, 0.866, 0.876, 0.881),
    "perindopril_mpo": (0.586, 0.537, 0.538, 0.493, 0.488, 0.489, 0.547, 0.595, 0.645, 0.681, 0.718, 0.753),
    "qed": (0.941, 0.941, 0.940, 0.937, 0.941, 0.939, 0.941, 0.942, 0.942, 0.939, 0.942, 0.943),
    "ranolazine_mpo": (0.698, 0.760, 0.728, 0.735, 0.765, 0.714, 0.804, 0.819, 0.848, 0.820, 0.821, 0.854),
    "scaffold_hop": (0.629, 0.560, 0.517, 0.548, 0.521, 0.533, 0.527, 0.615, 0.589, 0.576, 0.628, 0.711),
    "sitagliptin_mpo": (0.516, 0.021, 0.433, 0.186, 0.393, 0.066, 0.582, 0.634, 0.709, 0.601, 0.584, 0.743),
    "thiothixene_rediscovery": (0.496, 0.534, 0.479, 0.559, 0.367, 0.438, 0.519, 0.583, 0.625, 0.584, 0.692, 0.652),
    "troglitazone_rediscovery": (0.375, 0.441, 0.390, 0.410, 0.320, 0.354, 0.427, 0.511, 0.595, 0.448, 0.867, 0.853),
    "valsartan_smarts": (0.594, 0.178, 0.000, 0.000, 0.000, 0.000, 0.000, 0.135, 0.210, 0.627, 0.822, 0.935),
    "zaleplon_mpo": (0.504, 0.358, 0.346, 0.221, 0.325, 0.206, 0.519, 0.552, 0.536, 0.486, 0.584, 0.624),
}

# As published; sums of the rounded figures above differ in the third decimal, LSTM-HC's by more.
SUMS = (14.737, 14.196, 13.751, 13.156, 13.024, 12.223, 14.708, 16.213, 16.676, 16.928, 18.362, 18.993)


def beside(task: str) -> str:
    """The published figures of a task, in words."""
    return _words(PUBLISHED[task])


def sums() -> str:
    """The sums of all tasks as published, in words; NF-BO's is the best of searches in a latent space."""
    return _words(SUMS)


def _words(values: Sequence[float]) -> str:
    plain = ", ".join(f"{name} {value:.3f}" for name, value in zip(SYSTEMS, values, strict=False))
    screened = ", ".join(f"{name} {value:.3f}" for name, value in zip(SCREENING, values[len(SYSTEMS) :], strict=True))
    return f"{plain}; after screening ZINC outside the budget {screened}"
