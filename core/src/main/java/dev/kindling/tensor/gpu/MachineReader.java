package dev.kindling.tensor.gpu;

import dev.kindling.tensor.gpu.Machine.Bindings;
import dev.kindling.tensor.gpu.Machine.Card;
import dev.kindling.tensor.gpu.Machine.Driver;
import dev.kindling.tensor.gpu.Machine.Library;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Finds out what a machine has, from {@code nvidia-smi} and the folders in which libraries are
 * looked for. Loads no native library.
 */
public final class MachineReader {
  /** A driver that has to wake its devices takes seconds. */
  private static final int SECONDS = 60;

  private static final Pattern VERSION = Pattern.compile("(\\d+)\\.(\\d+).*");

  /** Where the loader looks besides, on the machines that we have seen. */
  private static final List<String> USUAL =
      List.of(
          "/usr/local/cuda/lib64",
          "/usr/local/cuda/targets/x86_64-linux/lib",
          "/usr/lib/x86_64-linux-gnu",
          "/usr/lib64");

  private final Map<String, String> environment;
  private final List<String> usual;

  /** Of this machine and this process. */
  public MachineReader() {
    this(System.getenv(), USUAL);
  }

  /**
   * @param environment whose PATH has nvidia-smi, and LD_LIBRARY_PATH libraries
   * @param usual folders that have libraries too
   */
  MachineReader(Map<String, String> environment, List<String> usual) {
    this.environment = Map.copyOf(environment);
    this.usual = List.copyOf(usual);
  }

  /** All that can be known. */
  public Machine read() {
    Optional<Driver> driver = lines("driver_version").stream().findFirst().flatMap(this::version);
    return new Machine(driver, driver.isEmpty() ? List.of() : cards(), libraries(), bindings());
  }

  private Optional<Driver> version(String text) {
    Matcher matcher = VERSION.matcher(text.strip());
    return matcher.matches()
        ? Optional.of(
            new Driver(Integer.parseInt(matcher.group(1)), Integer.parseInt(matcher.group(2))))
        : Optional.empty();
  }

  /** Drivers before 510 do not know of capabilities; theirs are 0. */
  private List<Card> cards() {
    List<String> lines = lines("index,uuid,memory.total,compute_cap,name");
    if (lines.isEmpty()) {
      lines = lines("index,uuid,memory.total,index,name").stream().map(this::unknown).toList();
    }
    List<Card> cards = new ArrayList<>();
    for (String line : lines) {
      String[] field = line.split(",\\s*", 5); // a model's name may have a comma
      if (field.length == 5) {
        cards.add(
            new Card(
                Integer.parseInt(field[0].strip()),
                field[1].strip(),
                field[4].strip(),
                version(field[3]).map(v -> 10 * v.major() + v.minor()).orElse(0),
                version(field[2] + ".0").map(v -> (long) v.major() << 20).orElse(0L)));
      }
    }
    return List.copyOf(cards);
  }

  private String unknown(String line) {
    String[] field = line.split(",\\s*", 5);
    field[3] = "unknown";
    return String.join(", ", field);
  }

  /** What nvidia-smi says, a line for each device; nothing if it is not there or fails. */
  private List<String> lines(String query) {
    Optional<Path> tool =
        folders("PATH")
            .map(folder -> folder.resolve("nvidia-smi"))
            .filter(Files::isExecutable)
            .findFirst();
    if (tool.isEmpty()) {
      return List.of();
    }
    ProcessBuilder builder =
        new ProcessBuilder(
                tool.get().toString(), "--query-gpu=" + query, "--format=csv,noheader,nounits")
            .redirectError(ProcessBuilder.Redirect.DISCARD);
    try {
      Process process = builder.start();
      process.getOutputStream().close();
      var said =
          process.inputReader(StandardCharsets.UTF_8).lines().filter(l -> !l.isBlank()).toList();
      if (!process.waitFor(SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        return List.of();
      }
      return process.exitValue() == 0 ? said : List.of();
    } catch (IOException e) {
      return List.of(); // as good as absent
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return List.of();
    }
  }

  private Stream<Path> folders(String variable) {
    return Stream.of(environment.getOrDefault(variable, "").split(":"))
        .filter(folder -> !folder.isBlank())
        .map(Path::of);
  }

  private Set<Library> libraries() {
    Set<Library> found = EnumSet.noneOf(Library.class);
    for (Library library : Library.values()) {
      if (Stream.concat(folders("LD_LIBRARY_PATH"), usual.stream().map(Path::of))
              .anyMatch(folder -> Files.exists(folder.resolve(library.file())))
          || present("org/bytedeco/cuda/linux-x86_64/" + library.file())) {
        found.add(library);
      }
    }
    return found;
  }

  private static Set<Bindings> bindings() {
    Set<Bindings> found = EnumSet.noneOf(Bindings.class);
    for (Bindings bindings : Bindings.values()) {
      if (present(bindings.entry())) {
        found.add(bindings);
      }
    }
    return found;
  }

  private static boolean present(String entry) {
    return MachineReader.class.getClassLoader().getResource(entry) != null;
  }
}
