package dev.kindling.tensor.gpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kindling.tensor.gpu.Guard.Wanted;
import dev.kindling.tensor.gpu.Machine.Card;
import dev.kindling.tensor.gpu.Machine.Driver;
import dev.kindling.tensor.gpu.Machine.Library;
import dev.kindling.tensor.load.Device;
import dev.kindling.tensor.load.GpuEngine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is read of machines that are played by a script. */
class MachineReaderTest {
  @TempDir Path temp;

  private Machine read(String smi, Path... libraries) throws IOException {
    Path tool = temp.resolve("nvidia-smi");
    Files.writeString(tool, "#!/bin/sh\n" + smi + "\n");
    assertThat(tool.toFile().setExecutable(true)).isTrue();
    String path = String.join(":", List.of(libraries).stream().map(Path::toString).toList());
    return new MachineReader(Map.of("PATH", temp.toString(), "LD_LIBRARY_PATH", path), List.of())
        .read();
  }

  @Test
  void read_twoCards_tellsAllOfThem() throws IOException {
    Path folder = Files.createDirectory(temp.resolve("lib"));
    Files.createFile(folder.resolve("libnvrtc.so.13"));
    Machine machine =
        read(
            """
            case "$1" in
              *driver_version*) echo 580.82.07; echo 580.82.07 ;;
              *) echo "0, GPU-a, 81559, 9.0, NVIDIA H100 80GB HBM3"
                 echo "1, GPU-b, 24576, 8.6, NVIDIA A10, and more" ;;
            esac\
            """,
            folder);
    assertThat(machine.driver()).contains(new Driver(580, 82));
    assertThat(machine.gpus())
        .containsExactly(
            new Card(0, "GPU-a", "NVIDIA H100 80GB HBM3", 90, 81559L << 20),
            new Card(1, "GPU-b", "NVIDIA A10, and more", 86, 24576L << 20));
    assertThat(machine.libraries()).containsExactly(Library.NVRTC_13);
  }

  /** It fails at a field that it does not know. */
  @Test
  void read_oldDriver_hasCardsWithoutCapability() throws IOException {
    Machine machine =
        read(
            """
            case "$1" in
              *compute_cap*) echo 'Field "compute_cap" is not a valid field to query.'; exit 2 ;;
              *driver_version*) echo 470.57.02 ;;
              *) echo "0, GPU-a, 16160, 0, Tesla V100" ;;
            esac\
            """);
    assertThat(machine.gpus()).containsExactly(new Card(0, "GPU-a", "Tesla V100", 0, 16160L << 20));
  }

  @Test
  void read_failingTool_hasNoDriver() throws IOException {
    Machine machine = read("echo NVIDIA-SMI has failed because it could not communicate; exit 9");
    assertThat(machine.driver()).isEmpty();
    assertThat(machine.gpus()).isEmpty();
    assertThat(new MachineReader(Map.of(), List.of()).read().driver()).isEmpty();
  }

  @Test
  void address_underVisibleDevices_meansWhatTheDriverMeans() throws IOException {
    Machine machine =
        new Machine(
            Optional.of(new Driver(580, 82)),
            List.of(card(0, "GPU-aa"), card(1, "GPU-ab"), card(2, "GPU-c")),
            Set.of(),
            Set.of());
    assertThat(uuid(machine, Optional.empty(), "1")).contains("GPU-ab");
    assertThat(uuid(machine, Optional.of("2,0"), "1")).contains("GPU-aa");
    assertThat(uuid(machine, Optional.of("2,0"), "2")).isEmpty();
    assertThat(uuid(machine, Optional.of("2,0"), "GPU-ab")).isEmpty();
    assertThat(uuid(machine, Optional.of("GPU-c,GPU-ab"), "GPU-ab")).contains("GPU-ab");
    assertThat(uuid(machine, Optional.of("0,9,1"), "1")).isEmpty();
    assertThat(uuid(machine, Optional.of(""), "0")).isEmpty();
    assertThat(new Address(Optional.of("2,0")).ordinal(machine, "GPU-aa")).contains(1);
  }

  @Test
  void device_thatIsNotThere_isToldWithWhatIs() {
    Machine machine =
        new Machine(
            Optional.of(new Driver(580, 82)),
            List.of(card(0, "GPU-aa"), card(1, "GPU-ab")),
            EnumSet.allOf(Library.class),
            Set.of());
    assertThat(why(machine, Optional.of("1"), "1"))
        .isEqualTo(
            "there is no GPU 1 among those that this process sees: GPU-ab (a card), by"
                + " CUDA_VISIBLE_DEVICES = '1'");
    assertThat(why(machine, Optional.of("GPU-z"), "0")).contains("sees: none, by CUDA_VISIBLE");
    assertThat(why(machine, Optional.empty(), "MIG-1")).contains("whole GPUs");
    assertThat(why(machine, Optional.of("MIG-1"), "0")).contains("MIG-1 is a part of a GPU");
    assertThat(GpuEngine.device(machine, new Address(Optional.empty()), "1", Wanted.CUDA))
        .isEqualTo(new Device.Gpu("1", "GPU-ab", "a card", 0));
  }

  private static String why(Machine machine, Optional<String> visible, String address) {
    Device device = GpuEngine.device(machine, new Address(visible), address, Wanted.CUDA);
    return ((Device.Cpu) device).why();
  }

  private static Card card(int index, String uuid) {
    return new Card(index, uuid, "a card", 90, 0);
  }

  private static Optional<String> uuid(Machine machine, Optional<String> visible, String address) {
    return new Address(visible).find(machine, address).map(Card::uuid);
  }
}
