package dev.kindling.tensor.cuda;

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.kindling.tensor.Precision;
import dev.kindling.tensor.gpu.Machine;
import dev.kindling.tensor.gpu.MachineReader;
import dev.kindling.tensor.load.Device;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.platform.engine.discovery.ClassSelector;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/**
 * What {@code submit/gpu-check} runs on a machine with a GPU and without a Java of its own: the
 * device, all tests that need one, and steps of Llama-shaped models with random weights. One JSON
 * object a line on stdout; exit code 1 if a test failed.
 */
public final class GpuCheck {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int FAILURES_TOLD = 12;

  /** All that need a GPU. */
  static final List<String> TESTS =
      List.of(
          "dev.kindling.model.DeviceCurveTest",
          "dev.kindling.model.DeviceGoldenTest",
          "dev.kindling.model.DeviceBf16GoldenTest",
          "dev.kindling.model.DeviceTf32GoldenTest",
          "dev.kindling.tensor.cuda.DeviceQueueTest",
          "dev.kindling.tensor.cuda.DeviceBf16Test",
          "dev.kindling.tensor.cuda.DeviceTf32Test",
          "dev.kindling.tensor.cuda.DeviceFp32Test");

  private GpuCheck() {}

  /**
   * @param arguments {@code device}, {@code tests}, {@code test DeviceFp32Test}, or {@link
   *     GpuStep}s: {@code step 7B r=8 tokens=2048 rows=1 plans=flops}, any number of them
   */
  public static void main(String... arguments) throws ClassNotFoundException {
    boolean passed = true;
    for (int i = 0; i < arguments.length; i++) {
      switch (arguments[i]) {
        case "device" -> say(device());
        case "tests" -> passed &= tests(TESTS);
        case "test" -> {
          i++;
          String end = "." + arguments[i];
          List<String> names = TESTS.stream().filter(name -> name.endsWith(end)).toList();
          if (names.isEmpty()) {
            throw new IllegalArgumentException(arguments[i] + " is none of " + TESTS);
          }
          passed &= tests(names);
        }
        case "step", "profile" -> {
          boolean profiled = arguments[i].equals("profile");
          GpuStep step = GpuStep.of(Arrays.copyOfRange(arguments, i + 1, i + 6));
          i += 5;
          step(step, profiled);
        }
        default -> throw new IllegalArgumentException("no check is called " + arguments[i]);
      }
    }
    System.exit(passed ? 0 : 1); // whatever threads there are
  }

  static void say(Object line) {
    try {
      System.out.println(JSON.writeValueAsString(line));
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  private static Map<String, Object> device() {
    Machine machine = new MachineReader().read();
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("driver", machine.driver().map(Object::toString).orElse("none"));
    line.put("cards", machine.gpus().stream().map(Object::toString).toList());
    line.put("libraries", machine.libraries().stream().map(Object::toString).toList());
    for (Precision precision : Precision.values()) {
      line.put(
          "decision in " + precision.spelled(), new CudaEngine().device("0", precision).toString());
    }
    return line;
  }

  private static boolean tests(List<String> names) throws ClassNotFoundException {
    boolean passed = true;
    for (String name : names) {
      Class<?> test = Class.forName(name);
      ClassSelector selector = selectClass(test);
      LauncherDiscoveryRequest request =
          LauncherDiscoveryRequestBuilder.request().selectors(selector).build();
      SummaryGeneratingListener listener = new SummaryGeneratingListener();
      LauncherFactory.create().execute(request, listener);
      TestExecutionSummary summary = listener.getSummary();
      Map<String, Object> line = new LinkedHashMap<>();
      line.put("tests", test.getSimpleName());
      line.put("found", summary.getTestsFoundCount());
      line.put("passed", summary.getTestsSucceededCount());
      line.put("skipped", summary.getTestsAbortedCount());
      line.put(
          "failed",
          summary.getFailures().stream()
              .limit(FAILURES_TOLD)
              .map(f -> f.getTestIdentifier().getDisplayName() + ": " + f.getException())
              .toList());
      line.put("seconds", (summary.getTimeFinished() - summary.getTimeStarted()) / 1e3);
      say(line);
      passed &= summary.getTotalFailureCount() == 0 && summary.getTestsSucceededCount() > 0;
    }
    return passed;
  }

  /** What does not fit, or fails, is told, and the next one tried. */
  private static void step(GpuStep step, boolean profiled) {
    try {
      Device device = new CudaEngine().device("0", Precision.BF16);
      if (device instanceof Device.Cpu none) {
        say(Map.of("step", step.toString(), "error", none.why()));
        return;
      }
      say(profiled ? step.profile() : step.measure(device.toString()));
    } catch (RuntimeException e) {
      say(Map.of("step", step.toString(), "error", e.toString()));
    }
  }
}
