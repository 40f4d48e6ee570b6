"""Groups that do not survive on a shelf or in water, as SMARTS with their literature; the table behind the check ``reactive_groups``.

A rule is here where the group decomposes, tautomerises away, hydrolyses or acylates on contact, not where it is merely undesired in a
drug (that is what the optional BRENK, NIH and PAINS checks are for). Groups that approved drugs carry in numbers (beta-lactams,
aldehydes, Michael acceptors, nitrate esters, alkyl azides, aryl triazenes, sulfonyl fluorides, oximes, hydrazones) pass on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass

from rdkit import Chem
from rdkit.Chem.rdfiltercatalog import FilterCatalog, FilterCatalogEntry, SmartsMatcher

HANN = "Hann et al., J. Chem. Inf. Comput. Sci. 39, 897 (1999)"
BRENK = "Brenk et al., ChemMedChem 3, 435 (2008)"
GDB = "GDB functional-group filters: Fink & Reymond, J. Chem. Inf. Model. 47, 342 (2007); Ruddigkeit et al., ibid. 52, 2864 (2012)"
HAZARD = "Urben (ed.), Bretherick's Handbook of Reactive Chemical Hazards"
MARCH = "Smith, March's Advanced Organic Chemistry"


@dataclass(frozen=True)
class Rule:
    """One unstable or reactive group: name, SMARTS and where the judgement comes from."""

    name: str
    smarts: str
    source: str


_AMINE = "[NX3;+0;!$(N[#6,#15,#16]=,:[#7,#8,#16]);!$(N[a]);!$(N[#7,#8])]"
# Neighbours that keep a hydrate (chloral, ninhydrin) or an enol (1,3-dicarbonyls, nitriles, fluorinated chains).
_HYDRATE = "!$(C[CX4]([F,Cl,Br])[F,Cl,Br]);!$(C([#6]=O)[#6]=O)"
_FREE = "!a;!$(C-[#6,#7,#15,#16]=,:[#7,#8,#16]);!$(C-C#N);!$(C-F);!$(C-[CX4](F)F)"

RULES: tuple[Rule, ...] = (
    # chains of heteroatoms
    Rule("peroxide", "[#8;X2,X1]-[#8;X2,X1]", HANN),
    Rule("O-N-O or N-O-N chain", "[$([OX2][NX3;+0][OX2]),$([NX3;+0;!a][OX2;!a][NX3;+0;!a])]", GDB),
    Rule("sulfenic acid or ester", "[SX2;!a]-[OX2;!a]", BRENK),
    Rule("polysulfide", "[SX2;!a][SX2;!a][SX2;!a]", GDB),
    Rule("triazane", "[NX3;!a]-[NX3;!a]-[NX3;!a]", GDB),
    Rule("alkyl triazene", "[NX3;!a]-[NX2;!R]=[NX2;!R]-[CX4]", HAZARD),
    Rule("nitrogen chain", "[#7;!a;+0]~[#7;!a;+0]~[#7;!a;+0]~[#7;!a;+0]", HAZARD),
    Rule("pentazole", "n1nnnn1", HAZARD),
    Rule("N-halogen", "[#7]-[F,Cl,Br,I]", BRENK),
    Rule("O-halogen", "[#8]-[F,Cl,Br,I]", HAZARD),
    Rule("S-halogen", "[#16;!$([SX4](=O)(=O)[#6,#7]);!X6]-[F,Cl,Br,I]", HANN),
    Rule("sulfonyl halide", "[SX4](=O)(=O)-[Cl,Br,I]", HANN),
    Rule("halogen-halogen", "[F,Cl,Br,I]~[F,Cl,Br,I]", HAZARD),
    Rule("hypervalent halogen", "[F,Cl,Br,I;X2,X3,X4,X5]", HAZARD),
    Rule("P-halogen", "[#15]-[F,Cl,Br,I]", HANN),
    Rule("Si-halogen", "[#14]-[Cl,Br,I]", BRENK),
    Rule("B-halogen", "[#5;+0]-[F,Cl,Br,I]", HAZARD),
    Rule("Si-H", "[#14;H1,H2,H3,H4]", HAZARD),
    Rule("P-H phosphine", "[PX3;v3;H1,H2,H3]", HAZARD),
    Rule("phosphorane", "[#15;X5]", HANN),
    Rule("hypervalent sulfur", "[#16;v4;X4,$([SX3]=[#7,#6])]", MARCH),
    # nitrogen multiple bonds
    Rule("activated azide", "[$([#6]=[O,S]),$([SX4](=O)=O),$([#15]),#7,#8,F,Cl,Br,I]-[NX2]=[NX2+]=[NX1-]", HAZARD),
    Rule("diazo or diazonium", "[$([#6]=[NX2+]=[NX1-]),$([#6;-]-[NX2+]#[NX1]),$([#6]-[NX2+]#[NX1])]", HAZARD),
    Rule("diazene", "[NX2;H1]=[NX2]", HAZARD),
    Rule("azoalkane", "[CX4]-[NX2;!R]=[NX2;!R]-[CX4]", HAZARD),
    Rule("azodicarbonyl", "O=[#6]-[NX2]=[NX2]-[#6]=O", HAZARD),
    Rule("C-nitroso", "[#6]-[NX2]=[OX1]", HANN),
    Rule("nitrite ester", "[OX2]-[NX2]=[OX1]", HAZARD),
    Rule("nitrosamine", "[NX3;!a]-[NX2]=[OX1]", BRENK),
    Rule("geminal dinitro", "[CX4]([NX3+](=O)[O-])[NX3+](=O)[O-]", HAZARD),
    Rule("nitrile oxide, imine or ylide", "[CX2;H1,$(C-[#6])]#[NX2+]-[O-,N-,C-]", MARCH),
    # acylating and alkylating agents
    Rule("acyl halide", "[CX3](=[O,S])-[F,Cl,Br,I]", HANN),
    Rule("imidoyl halide", "[CX3;!a](=[NX2])-[F,Cl,Br,I]", HANN),
    Rule("acid anhydride", "[CX3](=[O,S])-[OX2,SX2;!a]-[CX3](=[O,S])", HANN),
    Rule("mixed anhydride", "[CX3](=O)-[OX2]-[$([SX4](=O)=O),$([SX3]=O),$([#15]=O)]", HANN),
    Rule("active ester", "[CX3](=O)-[OX2]-[$(N([#6]=O)[#6]=O),$([n]1nnc2c1cccc2)]", HANN),
    Rule("acyl cyanide", "[CX3](=O)-C#N", HANN),
    Rule("isocyanate or carbodiimide", "[NX2]=[CX2]=[O,N]", HANN),
    Rule("isothiocyanate", "[NX2]=[CX2]=[S,Se]", HANN),
    Rule("ketene or ketenimine", "[CX3]=[CX2]=[O,S,N]", MARCH),
    Rule("alpha-halo ether or amine", f"[Cl,Br,I]-[CX4;!$(C[CX4](F)F);!$(CF)]-[$([OX2]),$([SX2]),$({_AMINE})]", HANN),
    Rule("alkyl triflate", "[CX4]-[OX2]-[SX4](=O)(=O)C(F)(F)F", HANN),
    # carbonyl adducts and tautomers that fall back
    Rule("geminal diol", f"[OX2H]-[CX4;{_HYDRATE}]-[OX2H]", GDB),
    Rule("acyclic hemiacetal", f"[OX2H]-[CX4;{_HYDRATE}]!@[OX2H0,SX2]", GDB),
    Rule("hemiaminal", f"[OX2H]-[CX4;!$(C[CX4]([F,Cl])[F,Cl])]!@{_AMINE}", GDB),
    Rule("cyclic NH hemiaminal", "[OX2H]-[CX4]@[NX3;H1;!$(N[#6,#16]=[#7,#8,#16]);!$(N[a])]", GDB),
    Rule("geminal halohydrin", "[F,Cl,Br,I]-[CX4]-[OX2H]", MARCH),
    Rule("primary aminal", f"[NX3H2;+0]-[CX4;!$(CC(F)(F)F)]-[$([NX3;H2]),$({_AMINE}),OX2,SX2,F,Cl,Br,I]", GDB),
    Rule("enol", f"[OX2H]-[CX3;{_FREE};!$(C(O)-[#7,#8,#16])]=[CX3;{_FREE}]", GDB),
    Rule("primary enamine", f"[NX3H2]-[CX3;!a;!$(C(N)-[#7,#8,#16])]=[CX3;{_FREE}]", GDB),
    Rule("enethiol", f"[SX2H]-[CX3;!a;!$(C(S)-[#7,#8,#16])]=[CX3;{_FREE}]", GDB),
    Rule("ynol or NH ynamine", "[OX2H,SX2H,NX3H1,NX3H2]-[CX2]#[CX2]", MARCH),
    Rule("imidic acid", "[OX2H]-[CX3;!R;!$(C=NO)]=[NX2;!$(N-[OX2])]", MARCH),
    Rule("NH imine", "[CX3;!a;!$(C-[#7,#8,#16]);!$(C=[#7+])]=[NX2;H1]", MARCH),
    Rule("carbamic or carbonic acid", "[OX2H,OX1-]-[CX3](=[OX1])-[#7,OX2]", MARCH),
    Rule("beta-keto acid", "[OX2H]-[CX3](=O)-[CX4;!$(C-F)]-[CX3](=[OX1])-[#6]", MARCH),
    Rule("thioaldehyde or thioketone", "[CX3;!a;!$(C-[#7,#8,#16])]=[SX1,Se]", MARCH),
    Rule("sulfine or sulfinylamine", "[#6,#7]=[SX2]=[#6,#7,#8,#16]", MARCH),
    Rule("cumulene", "[#6]=[CX2]=[CX2]", GDB),
    # charges that neighbours do not carry
    Rule("carbocation", "[#6;+;!a;!$([#6+]-[#7,#8,#16;!+])]", MARCH),
    Rule("carbanion", "[#6;-;!a;!$([#6-]~[*+])]", MARCH),
    Rule("oxonium", "[OX3+;!a]", MARCH),
    Rule("like charges on neighbours", "[$([+]~[+]),$([-]~[-])]", MARCH),
)

_PATTERNS = tuple((rule, Chem.MolFromSmarts(rule.smarts)) for rule in RULES)


def filter_catalog(patterns: list[tuple[str, Chem.Mol]]) -> FilterCatalog:
    """Named patterns as one RDKit catalog, which is faster than matching them one by one from Python."""
    catalog = FilterCatalog()
    for name, pattern in patterns:
        catalog.AddEntry(FilterCatalogEntry(name, SmartsMatcher(name, pattern)))
    return catalog


_CATALOG = filter_catalog([(rule.name, pattern) for rule, pattern in _PATTERNS])


def reactive_groups(mol: Chem.Mol) -> tuple[str, ...]:
    """Names of the rules of ``RULES`` that ``mol`` meets, in the table's order."""
    return tuple(str(entry.GetDescription()) for entry in _CATALOG.GetMatches(mol))
