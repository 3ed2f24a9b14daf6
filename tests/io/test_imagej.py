"""What ImageJ itself makes of written files; skipped without Java and ImageJ (Debian: imagej; or GENCOSMO_IMAGEJ)."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tifffile

from gencosmo.io import read, write

from .stacks import SIZE, filled, holes, quick_task, run, values  # noqa: F401

JAR = Path(os.environ.get("GENCOSMO_IMAGEJ", "/usr/share/java/ij.jar"))
pytestmark = pytest.mark.skipif(not (shutil.which("javac") and JAR.is_file()), reason="no Java compiler or no ImageJ")

LOOK = """
public class Look {
  public static void main(String[] names) {
    for (String name : names) {
      ij.ImagePlus image = new ij.io.Opener().openImage(name);
      ij.measure.Calibration c = image.getCalibration();
      StringBuilder told = new StringBuilder();
      told.append(image.getWidth() + " " + image.getHeight() + " " + image.getNChannels() + " " + image.getNSlices());
      told.append(" " + image.getNFrames() + " " + image.getBitDepth() + " " + c.pixelWidth + " " + c.pixelHeight);
      told.append(" " + c.pixelDepth + " " + c.frameInterval + " " + image.isComposite());
      told.append("|" + c.getUnit() + "|" + image.getStack().getSliceLabel(2));
      double sum = 0;
      for (int n = 1; n <= image.getStackSize(); n++)
        for (int x = 0; x < image.getWidth(); x++)
          for (int y = 0; y < image.getHeight(); y++)
            sum += n * image.getStack().getProcessor(n).getf(x, y);
      System.out.println(told + "|" + sum);
    }
  }
}
"""


def looked(tmp_path, path):
    (tmp_path / "Look.java").write_text(LOOK)
    words = ["java", "-Djava.awt.headless=true", "-cp", str(JAR), str(tmp_path / "Look.java"), str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    numbers, unit, label, total = done.stdout.strip().splitlines()[-1].split("|")
    return numbers.split(), unit, label, float(total)


def weighed(pages):
    """The sum of all values, page n counted n times: what a wrong order of pages would change."""
    return float((np.arange(1, len(pages) + 1)[:, None, None] * pages.astype(np.float64)).sum())


@pytest.mark.usefixtures("quick_task")
def test_a_hyperstack_stays_one(tmp_path):
    array = values((2, 3, 2, *SIZE))
    ramp = np.arange(256, dtype=np.uint8)
    tifffile.imwrite(
        tmp_path / "in.tif", array, imagej=True, resolution=(1 / 0.65, 1 / 0.65),
        metadata={"axes": "TZCYX", "unit": "um", "spacing": 2.0, "finterval": 30.0, "mode": "composite",
                  "Labels": ["DAPI", "GFP"] * 6, "LUTs": [np.stack([ramp] * 3)] * 2},
    )  # fmt: skip
    run(tmp_path, tmp_path / "in.tif", channels=("GFP",))
    expected = array.copy()
    expected[:, :, 1][..., holes()] = filled()[holes()]
    numbers, unit, label, total = looked(tmp_path, tmp_path / "out.tif")
    assert numbers[:6] == ["64", "48", "2", "3", "2", "16"] and numbers[-1] == "true"
    assert [float(n) for n in numbers[6:10]] == pytest.approx([0.65, 0.65, 2.0, 30.0])
    assert unit in ("um", "µm", "micron") and label == "GFP"
    assert total == weighed(expected.reshape(-1, *SIZE))


def test_a_new_ome_tiff_has_its_pixel_sizes(tmp_path):
    tifffile.imwrite(
        tmp_path / "in.ome.tif", values((2, *SIZE)), ome=True, photometric="minisblack",
        metadata={"axes": "CYX", "PhysicalSizeX": 0.325, "PhysicalSizeY": 0.325},
    )  # fmt: skip
    image = read(tmp_path / "in.ome.tif")
    write(tmp_path / "out.ome.tif", image)
    numbers, unit, _, total = looked(tmp_path, tmp_path / "out.ome.tif")
    assert numbers[:2] == ["64", "48"] and numbers[5] == "32"
    assert [float(n) for n in numbers[6:8]] == pytest.approx([0.325, 0.325]) and unit in ("um", "µm", "micron")
    assert total == pytest.approx(weighed(image.data), rel=1e-9)
