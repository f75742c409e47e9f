import 'uplot/dist/uPlot.min.css';
import './styles/base.css';
import './styles/controls.css';
import './styles/layout.css';
import './styles/tables.css';
import './styles/plots.css';
import './styles/changes.css';
import './styles/findings.css';
import './styles/sizes.css';
import { render } from 'preact';
import { MonitorPage } from './monitor-page.js';
import { takeTokenFromAddress } from './session.js';

takeTokenFromAddress();
const root = document.getElementById('monitor');
if (root) render(<MonitorPage />, root);
