import com.mifmif.common.regex.Generex;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;

/**
 * Writes what Generex draws: for each line of the cases (regex, least and greatest length, separated by tabs) twenty strings in
 * hexadecimal UTF-8 from one random of seed 42, and the long that it draws after them.
 *
 * <p>Made again with com.github.mifmif:generex:1.0.2 and dk.brics.automaton:automaton:1.11-8 (Maven Central) on the class path CP:
 *
 * <pre>java -cp CP RegexOracle.java regex_cases.tsv > regex_golden.tsv</pre>
 */
public class RegexOracle {
  public static void main(String[] args) throws Exception {
    StringBuilder out = new StringBuilder();
    for (String line : Files.readAllLines(Path.of(args[0]), StandardCharsets.UTF_8)) {
      String[] f = line.split("\t");
      Random random = new Random(42);
      Generex generex = new Generex(f[0], random);
      out.append(f[0]);
      for (int i = 0; i < 20; i++) {
        out.append('\t');
        String s = generex.random(Integer.parseInt(f[1]), Integer.parseInt(f[2]));
        for (byte b : s.getBytes(StandardCharsets.UTF_8)) {
          out.append(String.format("%02x", b));
        }
      }
      out.append('\t').append(random.nextLong()).append('\n');
    }
    new PrintStream(System.out, true, "UTF-8").print(out);
  }
}
