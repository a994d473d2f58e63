# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What people write where the contrast agent belongs: that there was none, that there was, and what is unclear."""

from __future__ import annotations

import pytest

from appliance.imaging.contrast_words import names_agent

NONE = """
basale
Esame basale
diretto
S.C.
sc
S/CTE
SPC
IVSIZ
o KM
be kontrasto
WOC
W/OC
nonenh
k. KM
unsp.
Leerserie
leer
EMPTY
<empty>
Off
Contrast: off
INJECTOR OFF
单纯
普通扫描
ไม่ฉีด
nativ, KM: nein
nativ/KM nein
native and contrast declined
nativ, kein KM
0 ML OMNIPAQUE, 0 ML WASTED
no PO/IV contrast
none, allergy to iodine
neither oral nor iv
deferred
contraindicated
Nativní
entfällt
No IV/PO
none - renal failure
NONE (eGFR 22)
allergy, none given
not required
not needed
nicht erforderlich
nicht indiziert
KM kontraindiziert
contre-indiqué
controindicato
Omnipaque deferred
Isovue cancelled
patient refused contrast
patient declined IV
pt. declined
nativně
natívne vyšetrenie
natywne
nie podano
niepodano
nepodáno
k.l. nepodána
ej kontrast
ikke gitt
ikke givet
ingen kontrast
utgår
inget kontrastmedel
uten i.v. kontrast
geen i.v. contrast
zonder contrastmiddel
n.v.t.
vervallen
niet gegeven
blanco scan
sin CIV
s/ contraste
S/C
sem contraste EV
não utilizado
no administrado
no se administra contraste
ni oral ni iv
rifiutato
non somministrato
non eseguito mdc
senza m.d.c.
verilmedi
kontrastsız
IV kontrast yok
без в/в контраста
не вводился
нативное исследование
отказ
χωρίς σκιαγραφικό
不使用
没有使用造影剂
造影剤使用せず
造影なし
조영제 미사용
조영제 없음
未使用
بدون صبغة
ללא חומר ניגוד
khong
tanpa kontras
fără contrast
nem kapott kontrasztot
natív
ilman varjoainetta
natiivi
bez k.l.
bez kontrastnog sredstva
weder oral noch i.v.
o. KM
o.KM
oKM
KM: nein
KM: -
KM: 0
Contrast: N/A
contrast: none
IV contrast: no
contrast = 0
volume 0
0 mls
0 mL Iohexol
NaN
n.d.
oral contrast
Gastrografin p.o.
barium
saline 50 ml
NaCl
oral only
PO only
no contrast reaction? none given
No contrast, pregnant
without contrast (pregnancy)
no contrast due to allergy to Omnipaque
allergic to Omnipaque, none given
Omnipaque - not given
Omnipaque (declined)
Iomeron 400: nicht gegeben
Ultravist niet toegediend
withheld
held
contrast held
omitted
not used
unused
contrast avoided
skipped
CT head plain
non contrast CT
NCCT head
w/o iv
WITHOUT PO/IV
no PO or IV
no i.v./p.o. contrast
nil
nil given
nil by mouth nil iv
No dye
no bolus
no injection
pas d'injection
non injecté
sans IV
absence d'injection
pas de produit de contraste
refus du patient
annulé
Absent
aucune injection
verzichtet
auf KM verzichtet
abgelehnt
Pat. lehnt ab - kein KM
keine KM-Gabe
keine Kontrastmittelgabe
without contrast after reaction 2019
plain, post op
plain post-op day 1
plain, post trauma
oral: yes; iv: no
no iv access
GFR too low, no contrast
metformin; no contrast
None/None
none none
NONE
not given due to allergy
contrast not given
Contrast refused by patient
IV- PO-
C-
non-contrast, 80 kg
none; known iodine allergy
No contrast - AKI
not indicated
No IV contrast administered
neither
no po or iv
NPO, no contrast
w/o PO & IV
IV contrast: not given
contrast declined by family
contraindication: renal insufficiency
contraindiqué
Kontraindikation
ausgelassen
nicht durchgeführt
kein i.v. KM
keins
ohne i.v. KM-Gabe
nessun mdc
mdc non somministrato
sin medio de contraste
ninguna
nenhum contraste
Natiivikuvaus
natywna
Nativ CT
nativo (senza mdc)
bez podania kontrastu
nie zastosowano
kontrastmedel: nej
ikke kontrast
non applicabile
no aplica
sans objet
entfiel
wurde nicht gegeben
kontrast nije dat
Без контрастного усиления
не проводилось
контраст не вводили
нет контраста
未注射
没有
不用造影剂
無造影
非造影
造影剤未使用
unk.
unknown agent
-none-
<none>
[none]
'none'
no_agent
NoContrast
NONCONTRAST HEAD
contrast: no
CONTRAST=NO
C: none
agent:none
0.00 ML
0 ml given
none given today
nothing
nothing given
No meds
n/a (plain scan)
Plain CT
precontrast
Pre-contrast
without
w/out IV contrast
s. KM: keine
k.A.
keine Angabe
nicht angegeben
nicht bekannt
niet bekend
non précisé
no especificado
contrast agent not specified
not documented
not recorded
lehnt ab
patient lehnt KM ab
hold contrast
on hold
contrast on hold
kein Kontrastmittel (Schilddrüse)
no iodinated contrast
No intravenous contrast material was administered
IV contrast was not administered
Study performed without contrast
unenhanced study
no gadolinium
no iohexol given
Isovue: no
Isovue? no
Isovue NO
""".strip().splitlines()

GIVEN_OR_UNCLEAR = """
nativ/KM
nativ, dann KM
NATIV UND KM
native, venous
plain then enhanced
non contrast and contrast
IOHEXOL 350 MG IODINE/ML, 0 ML WASTED
Omnipaque, waste: 0 ml
default
contrast given, no reaction
KM gegeben, keine Allergien
IV contrast given, no oral
pregnant: no, contrast 80 ml
contrast: yes, allergy: no
Omnipaque
Iomeron 400, nicht verdünnt
Ultravist not diluted
contrast; reaction: none
IV contrast, allergies none
no contrast reaction
given without delay
pre and post contrast
pre/post
vor und nach KM
avec et sans injection
con y sin contraste
senza e con mdc
med og uten kontrast
с и без контраста
sin y con civ
native and post contrast
nativ und mit KM
nativ + KM
oral: no; iv: yes
i.v. Kontrast
Imeron 350, keine Allergie bekannt
Iohexol, diabetes: no
Omnipaque 300 (no known allergies)
Xenetix sin reacciones
Iomeron senza reazioni
APC
to be contrast enhanced
Ultravist bez reakcji
Omnipaque utan komplikationer
омнипак 350 без осложнений
iodixanol sans incident
Visipaque zonder reactie
碘海醇 无过敏
碘海醇，无不良反应
オムニパーク 副作用なし
造影剤アレルギー無
造影あり
조영제 부작용 없음
造影
増強
KM 80 ml
MDC
contraste EV
avec injection
mit KM
m. KM
met contrast
Oui
Yes
ja
YES 350
non-ionic 100 ml
Isovue-370 IV no oral
IV Omnipaque; no PO
oral and IV contrast
Gadavist 7 ml
Omnipaque no extravasation
hand held injection Omnipaque
contrast, hand-held injector
dye
IV
ioversol 68%
Optiray 320, premedication none
no premedication, Optiray
Iopamiro
0.5 ML/KG
Omnipaque, not contraindicated
contrast 100 mL, consent: no
no complications; contrast 60 ml
70ml Iomeron, eGFR unknown
contrast, delayed phase
XYZ-300
Lot N 4 contrast
no allergies; contrast administered
Omnipaque 350 100 ml NaCl 0 ml
no oral contrast, IV contrast given
Isovue 300 yes
contrast: Isovue
IV: Iomeron 350
100ml IV contrast, no adverse reaction noted
iv contrast no immediate complication
Imeron 400 MCT 70 ml, Fluss 4 ml/s
Kontrastmittelgabe komplikationslos
KM i.v. ohne Komplikationen
contraste IV sin incidencias
mdc ev senza complicanze
injection sans problème
met i.v. contrast, geen reactie
kontrast iv, ingen reaktion
kontrastní látka bez reakce
iohexol 300 (non-ionic)
nonionic
low osmolar
iodine based, no allergy
Omnipaque 350 - no allergy
Omnipaque240/no reaction
No. 2 Omnipaque
Lot no. 4455 Iomeron
batch no 12 dye
contrast no. 3
IV contrast, nil PO
IV contrast + no oral
no PO, yes IV
IV yes PO no
with
With IV
W IV CON
W CON
WITH CONTRAST
w/contrast
w/ and w/o
W&WO
WWO
W WO
with/without
both
post contrast
postcontrast
Post Gd
C+
+ contrast
contrast +
CE
CECT
enhanced
CTA
bolus 80
80 cc @ 4
Ultravist-370 90
Iopromid 370 mg/ml
JOD
jodix
Jopamidol
Unilux
Scanlux
Ultravist keine NW
Ultravist ohne NW
gegeben
given
administered
ano
si
да
有
是
no oral contrast
no allergies
pending
allergy
allergic to iodine
ok
x
to be given
planned
see report
no reaction
""".strip().splitlines()


@pytest.mark.parametrize("text", NONE)
def test_that_none_was_given_is_understood(text: str) -> None:
    assert not names_agent(text)


@pytest.mark.parametrize("text", GIVEN_OR_UNCLEAR)
def test_an_agent_that_was_given_and_what_is_unclear_count_as_contrast(text: str) -> None:
    assert names_agent(text)
